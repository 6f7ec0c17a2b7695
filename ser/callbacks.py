"""What happens beside training: the same random numbers however a run came to a batch, and its history in a file."""

import math
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import torch

from ser.errors import RunError
from ser.files import replacing

MEASURED = ("train_loss", "dev_loss", "dev_uar", "lr")


class SeedEachBatch(L.Callback):
    """Seed torch before each batch from the run's seed, the epoch and the batch.

    Checkpoints hold no generator's state, and starting an epoch draws a different number of times in a resumed run, so
    that nothing less would give a resumed run the dropout and augmentation of one that was not stopped.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the CPU's and every device's generator."""
        torch.manual_seed((self.seed * 1_000_003 + trainer.current_epoch) * 1_000_003 + batch_idx)


class History(L.Callback):
    """Keep a row an epoch (losses, dev UAR, learning rate) in a CSV file, and in the checkpoint, to go on with it.

    Args:
        file: Written anew, whole, after every epoch.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the epoch that ends."""
        measured = {
            name: float(trainer.callback_metrics[name]) for name in MEASURED if name in trainer.callback_metrics
        }
        if not all(math.isfinite(value) for value in measured.values()):
            raise RunError(
                f"Training diverged in epoch {trainer.current_epoch}: {measured}. Lower model.optimizer.lr, or take "
                "trainer.precision=32-true; the checkpoints of the epochs before are whole."
            )
        self.rows.append({"epoch": trainer.current_epoch, **measured})
        with replacing(self.file) as file:
            self.table().to_csv(file, index=False)

    def table(self) -> pd.DataFrame:
        """One row an epoch, with ``epoch`` and those of `MEASURED` that there are."""
        return pd.DataFrame(self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Go into the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Come back from the checkpoint."""
        self.rows = list(state_dict["rows"])
