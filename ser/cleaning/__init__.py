"""Cleaning of waveforms, part of the model: ``(waveform, lengths) -> (waveform, lengths)``, before the features.

Each is an ``nn.Module`` without trained weights, whose class attribute ``place`` says when it is applied: the lowest first,
whatever the order of the configuration.

Shapes:
    - waveform: ``(batch, sample)``, full scale = 1, zero beyond a clip's length
    - lengths: ``(batch,)`` in samples, at least 1
"""
