"""Decode recordings, keep them as waveform stores, and find duplicates among them."""
