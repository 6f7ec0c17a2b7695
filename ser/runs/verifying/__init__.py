"""The checks of a finished run, by what they need: its files alone, its checkpoints, or its corpora."""
