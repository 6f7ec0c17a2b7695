"""Names of the files of a published model, for those who look for them without reading them; see `ser.models.published`."""

FACTS, WEIGHTS, PIPELINE = "config.json", "model.safetensors", "model.skops"
README = "README.md"
"""The model's card on the Hub, which is not read."""
