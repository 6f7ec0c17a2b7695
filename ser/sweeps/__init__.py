"""Sweeps: many trainings by one command, which goes on where it stopped, and one page at the end."""
