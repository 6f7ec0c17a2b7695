"""Studies: what a sweep answers when it has ended, a table and a picture each."""
