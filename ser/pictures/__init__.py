"""Pictures of corpora, of single recordings and of what a trained model looks at."""
