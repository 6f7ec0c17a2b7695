"""The corpora: one file each, which says what its file names mean, who speaks, and where to get it."""
