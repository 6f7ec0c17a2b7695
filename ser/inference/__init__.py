"""Use a trained model: load it, and score utterances with it."""
