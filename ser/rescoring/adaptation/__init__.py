"""Adaptation: the UAR of a speaker-adapted model over the number of unlabelled clips that it knows of each speaker."""
