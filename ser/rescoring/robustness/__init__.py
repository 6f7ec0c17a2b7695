"""Test speech as users record it: noisy, reverberant, coded, too quiet, cut short."""
