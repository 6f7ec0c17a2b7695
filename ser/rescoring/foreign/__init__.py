"""Models of others, of transformers, under the protocols here: what they answer, and what they were trained on."""
