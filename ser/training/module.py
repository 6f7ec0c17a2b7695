"""`Training`: the LightningModule around a model: loss, augmentation, optimizer, schedule, dev scores."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics.classification import MulticlassConfusionMatrix
from typing_extensions import override

from ser.datamodules.batch import Batch
from ser.errors import ConfigError
from ser.evaluation.agreement import MOMENTS, ccc, moments
from ser.models.checkpoint import during_training, put_back
from ser.models.classifier import SpeechClassifier
from ser.runtime import distributed
from ser.runtime.instantiate import instantiate
from ser.training.losses.loss import Loss
from ser.training.padding import check_padding

if TYPE_CHECKING:
    from ser.datamodules.speech import SpeechDataModule

Config = Mapping[str, Any]


class Training(L.LightningModule):
    """Trains a model.

    Args:
        model: To be trained.
        loss: See `ser.training.losses.loss.Loss`.
        augment: By name, ``_target_`` and arguments of modules of `ser.augment`.
        optimizer: ``_target_`` and arguments of a `torch.optim.Optimizer`, ``lr`` among them.
        schedule: ``_target_`` and arguments of a learning-rate schedule that takes ``optimizer`` and ``steps``.

    Raises:
        ConfigError: If a part cannot be made from its configuration.
    """

    def __init__(
        self, model: SpeechClassifier, loss: Loss, augment: Mapping[str, Config], optimizer: Config, schedule: Config
    ) -> None:
        super().__init__()
        self.model, self.loss, self.optimizer, self.schedule = model, loss, optimizer, schedule
        steps = {name: instantiate(config, nn.Module) for name, config in augment.items()}
        for name, step in steps.items():
            if getattr(step, "domain", None) not in ("waveform", "features"):
                raise ConfigError(
                    f"augment.{name} must have a domain, waveform or features; {type(step).__name__} has none. "
                    "Set it as an attribute of the class."
                )
        self.waveform_augment = nn.ModuleList(s for s in steps.values() if s.domain == "waveform")
        self.feature_augment = nn.ModuleList(s for s in steps.values() if s.domain == "features")
        self.dev_confusion = None if model.numeric else MulticlassConfusionMatrix(len(model.classes))
        self.dev_moments = np.zeros((len(model.classes), MOMENTS))  # of numbers

    def on_fit_start(self) -> None:
        """Cache features where that pays, fit the statistics of normalisation, and check that padding changes nothing."""
        module: SpeechDataModule = self.trainer.datamodule  # type: ignore[attr-defined]
        data = module.data
        if not self.waveform_augment:
            self.model.use_cached_features(data)
        self.model.fit_statistics(data, resumed=self.trainer.ckpt_path is not None)
        check_padding(self.model, data)

    def on_train_epoch_start(self) -> None:
        """Log the learning rate that the epoch starts with."""
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=True)

    @override
    def training_step(self, batch: Batch) -> Tensor:
        target = batch.target
        soft = target if target.is_floating_point() else nn.functional.one_hot(target, len(self.model.classes)).float()
        if batch.features is None:
            waveform, lengths = batch.waveform, batch.lengths
            for step in self.waveform_augment:
                waveform, lengths, soft = step(waveform, lengths, soft)
            features, frames = self.model.extract(waveform, lengths)
        else:
            features, frames = batch.features
        features = self.model.normalise(features, frames, self.model.training_statistics(batch))
        for step in self.feature_augment:
            features, frames, soft = step(features, frames, soft)
        loss = torch.stack([self.loss(logits, soft) for logits in self.model.outputs(features, frames)]).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=batch.whole or len(soft), sync_dist=True)
        return loss

    @override
    def validation_step(self, batch: Batch) -> None:
        logits = self.model.logits(batch, self.model.dev_statistics()).float()
        target = batch.target
        loss = (nn.functional.mse_loss if self.model.numeric else nn.functional.cross_entropy)(logits, target)
        self.log("dev_loss", loss, batch_size=len(logits), sync_dist=True)
        if self.dev_confusion is None:
            self.dev_moments += moments(target.cpu().numpy(), logits.cpu().numpy()).sum(axis=0)
        else:
            self.dev_confusion.update(logits, target.argmax(dim=1) if target.is_floating_point() else target)

    def on_validation_epoch_end(self) -> None:
        """Log dev CCC, or dev UAR: the mean recall over the classes that occur."""
        if self.dev_confusion is None:
            sums = distributed.all_reduce_sum(torch.from_numpy(self.dev_moments).to(self.device))
            self.dev_moments = np.zeros_like(self.dev_moments)
            self.log("dev_ccc", float(ccc(sums.cpu().numpy())), prog_bar=True, sync_dist=True)
            return
        counts = self.dev_confusion.compute().double()
        self.dev_confusion.reset()
        present = counts.sum(dim=1) > 0
        recall = counts.diagonal()[present] / counts.sum(dim=1)[present]
        self.log("dev_uar", recall.mean().float(), prog_bar=True, sync_dist=True)

    def configure_model(self) -> None:
        """Spread the weights over devices, where the trainer's strategy does."""
        if self.device_mesh is not None:
            from ser.models.sharding import shard

            shard(self.model.shards(), self.device_mesh)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Make the optimizer and its schedule by step."""
        groups = self.model.parameter_groups(self.optimizer["lr"])
        optimizer = instantiate(self.optimizer, torch.optim.Optimizer, params=groups)
        steps = self.trainer.estimated_stepping_batches
        if not 0 < steps < math.inf:
            raise ConfigError(
                f"trainer.max_epochs must be at least 1, since the schedule needs an end; got {self.trainer.max_epochs}. "
                "Set trainer.max_epochs or trainer.max_steps."
            )
        schedule = instantiate(self.schedule, LRScheduler, optimizer=optimizer, steps=int(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        during_training(checkpoint, self.model)

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.model.check_resumable(checkpoint["hyper_parameters"])
        put_back(checkpoint, self.model)
