"""`SpeechDataModule`: speech data for Lightning's trainer."""

from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader
from typing_extensions import override

from ser.datamodules.batch import Batch
from ser.datamodules.data import SpeechData


class SpeechDataModule(L.LightningDataModule):
    """Batches of the training and dev sides, which the processes of a training share.

    Args:
        data: The fold, which needs no trainer.
    """

    def __init__(self, data: SpeechData) -> None:
        super().__init__()
        self.data = data

    @override
    def train_dataloader(self) -> DataLoader[Any]:
        size = self.data.loading.batch_size
        return self.data.loader(self.data.split.train, size, self._device(), shuffle=True, share=True)

    @override
    def val_dataloader(self) -> DataLoader[Any]:
        size = 2 * self.data.loading.batch_size
        return self.data.loader(self.data.split.dev, size, self._device(), shuffle=False, share=True)

    @override
    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Batch:
        return self.data.to_device(batch, device)

    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
