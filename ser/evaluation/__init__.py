"""Everything that is computed from a run's predictions table, and only from it."""
