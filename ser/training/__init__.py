"""Train a configuration: folds, fitting, callbacks and trackers."""
