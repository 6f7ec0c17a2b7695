"""A trained model as a folder that others can load: its files, its card, and the Hugging Face Hub."""
