"""Pretrained speech encoders: from raw waveform to frames."""
