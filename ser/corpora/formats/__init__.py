"""Formats of tables of recordings: each is a function from a path to its `Rows`, and `None` for a path of another format."""
