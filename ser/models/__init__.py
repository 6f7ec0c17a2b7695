"""Models: one LightningModule a file, all from ``(waveform, lengths)`` to logits."""
