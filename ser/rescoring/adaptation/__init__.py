"""Adaptation: the UAR of a speaker-adapted model over the number of unlabelled clips of each speaker."""
