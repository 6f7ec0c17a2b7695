"""Optimizers that torch lacks, one a file; any of `torch.optim` works too."""
