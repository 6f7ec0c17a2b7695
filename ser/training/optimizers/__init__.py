"""Optimizers that torch does not have, one a file; those of `torch.optim` can be used, too."""
