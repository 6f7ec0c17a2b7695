"""Augmentation on the device, in training only: ``(x, lengths, target) -> (x, lengths, target)``.

Each is an ``nn.Module`` whose class attribute ``domain`` states what ``x`` is: ``waveform``, ``(batch, sample)``, or
``features``, ``(batch, feature, frame)``, normalised, so that 0 is a band's mean. ``target`` is ``(batch, class)`` with rows
that sum to 1. They are applied in the order of the configuration, those of waveforms first.

Random numbers are torch's, which training seeds before each batch.
"""
