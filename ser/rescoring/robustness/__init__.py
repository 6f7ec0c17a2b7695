"""Robustness: test speech as users record it, such as noisy, reverberant, coded, too quiet or cut short."""
