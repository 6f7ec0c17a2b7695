"""Batches of waveforms: one LightningDataModule over one or several corpora, one split, and one label scheme."""
