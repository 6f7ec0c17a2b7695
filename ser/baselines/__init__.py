"""Classical models: scikit-learn's classifiers on one vector a clip."""
