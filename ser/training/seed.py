"""The seed of a training, without Lightning, which classical models do not need."""

import os
import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, and Lightning by its environment variables, as `lightning.seed_everything` does.

    Example:
        >>> seed_everything(0)
        >>> torch.rand(1)
        tensor([0.4963])
    """
    os.environ |= {"PL_GLOBAL_SEED": str(seed), "PL_SEED_WORKERS": "1"}
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # libraries draw from the global generator
    torch.manual_seed(seed)
