"""Features on the device: ``(waveform, lengths) -> (features, lengths)``, each an ``nn.Module`` with ``n_features`` and ``names``."""
