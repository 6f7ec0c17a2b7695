"""The same random numbers in an epoch, whether the run came to it in one go or was resumed."""

import lightning as L
import torch


class SeedEachEpoch(L.Callback):
    """Seed torch at the start of each epoch from the run's seed and the epoch: checkpoints hold no generator's state."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Seed the CPU's and every device's generator."""
        torch.manual_seed(self.seed * 1_000_003 + trainer.current_epoch)
