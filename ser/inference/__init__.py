"""Loading of a trained model, and scoring of utterances with it."""
