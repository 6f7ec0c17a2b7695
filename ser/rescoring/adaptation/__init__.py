"""How many unlabelled clips of a speaker a speaker-adapted model must know: UAR over their number."""
