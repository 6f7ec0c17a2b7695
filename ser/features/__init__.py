"""Features on the device: ``(waveform, lengths) -> (features, lengths)``, each a module with ``n_features`` and ``names``."""
