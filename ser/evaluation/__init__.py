"""Metrics and statistics, computed from a run's predictions table alone."""
