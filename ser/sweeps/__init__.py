"""Sweeps: many trainings by one command, which resumes where it stopped, and one page at the end."""
