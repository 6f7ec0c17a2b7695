"""The corpora: one file each, with the meaning of its file names, its speakers, and where to get it."""
