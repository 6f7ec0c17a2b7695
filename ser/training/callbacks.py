"""Callbacks of a training: seeds by batch, weight averaging, early stopping, checkpoints, and a history of epochs."""

import math
import signal
import threading
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar, WeightAveraging, early_stopping
from typing_extensions import override

from ser.errors import ConfigError, PrunedError, RunError
from ser.evaluation.measure import MEASURES, measure_in
from ser.report.format import writer
from ser.runtime import distributed
from ser.runtime.files import replacing
from ser.runtime.instantiate import instantiate
from ser.training.selection import MODES

PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")
PRUNER = "pruner"
"""Key of the pruner's settings in a study, which jobs on other machines need."""
RANK_STEP = 0x9E3779B97F4A7C15
MEASURED = ("train_loss", "dev_loss", *(measure.dev for measure in MEASURES), "lr")


class SeedEachBatch(L.Callback):
    """Seed torch before each batch from the run's seed, the epoch and the batch.

    Checkpoints hold no generator state, and the start of an epoch draws a different number of times in a resumed run.
    Only seeding every batch gives a resumed run the dropout and augmentation of an uninterrupted one.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the CPU's and every device's generator."""
        here = ((self.seed * 1_000_003 + trainer.current_epoch) * 1_000_003 + batch_idx) % 2**63
        torch.manual_seed((here + trainer.global_rank * RANK_STEP) % 2**63)  # each process draws its own noise


class Progress(RichProgressBar):
    """The progress bar of a terminal, with epochs counted from 1."""

    @property
    @override
    def validation_description(self) -> str:
        return "Dev speakers"

    @override
    def _get_train_description(self, current_epoch: int) -> str:
        text = f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}"
        return text.ljust(len(self.validation_description))


class KeepSigterm(L.Callback):
    """Leave SIGTERM to a handler that was installed before Lightning's, such as submitit's.

    SLURM sends it when it needs a node back, up to minutes before it kills the job. Lightning would end the training at
    once, and SLURM does not requeue a job that ends by itself in that time.
    """

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Store the handler, before Lightning installs its own."""
        self._before = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore the handler."""
        if callable(self._before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before)


class Averaging(WeightAveraging):
    """Score and keep a running average of the weights instead of those of the last step.

    Step ``n`` moves the average by ``1 - min(decay, (1 + n) / (10 + n))`` of the way to the weights, so that the
    average of a short training is not dominated by its start. The average is on the device that trains.

    Source: the exponential moving average of Polyak and Juditsky, 1992, https://doi.org/10.1137/0330046; the warm-up is
    that of TensorFlow's ``ExponentialMovingAverage``.

    Args:
        decay: Weight of the past in a long training, below 1.
    """

    def __init__(self, decay: float = 0.99) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"callbacks.averaging.decay must be at least 0 and below 1; got {decay}.")

        @torch.no_grad()
        def average(averaged: Any, current: Any, number: Any) -> None:
            n = int(number)
            weight = 1 - min(decay, (1 + n) / (10 + n))
            for old, new in zip(averaged, current, strict=True):
                if old.is_floating_point():
                    old.lerp_(new, weight)
                else:
                    old.copy_(new)

        super().__init__(use_buffers=True, multi_avg_fn=average)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Set the device of the average."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)


class EarlyStopping(early_stopping.EarlyStopping):
    """Stop when dev has not improved for some epochs; a run that stopped early stays stopped when it is resumed.

    Args:
        by: ``dev_uar``, of numbers ``dev_ccc``, or ``dev_loss``.
        patience: Epochs without improvement.
    """

    def __init__(self, by: str, patience: int = 30) -> None:
        if by not in MODES:
            raise ConfigError(f"callbacks.early_stopping.by must be one of {', '.join(MODES)}; got {by!r}.")
        super().__init__(by, mode=MODES[by], patience=patience)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop before the first epoch if patience ran out before."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class Best(ModelCheckpoint):
    """Lightning's checkpoint of the best epoch, which also works after the run's folder was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state, with paths in the present folder."""
        here = Path(str(self.dirpath))
        moved = {key: str(here / Path(state_dict[key]).name) for key in PATHS if state_dict.get(key)}
        ranked = {str(here / Path(path).name): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": ranked, "dirpath": self.dirpath})


class History(L.Callback):
    """Keep one row per epoch (losses, dev UAR or CCC, learning rate) in a CSV file, and in the checkpoint for resuming.

    Args:
        file: Rewritten atomically after every epoch.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the epoch that has just ended.

        Raises:
            RunError: If a measure is not finite.
        """
        found = trainer.callback_metrics
        measured = {name: float(found[name]) for name in MEASURED if name in found}
        if not all(math.isfinite(value) for value in measured.values()):
            raise RunError(
                f"Training diverged in epoch {trainer.current_epoch + 1}: {measured}. Lower optimizer.lr, or use "
                "trainer.precision=32-true. The checkpoints of the epochs before are whole."
            )
        self.rows.append({"epoch": trainer.current_epoch, **measured})
        if not trainer.is_global_zero:
            return
        with replacing(self.file) as file:
            self.table().to_csv(file, index=False)

    def table(self) -> pd.DataFrame:
        """Return one row per epoch, with ``epoch`` and the available columns of `MEASURED`."""
        return pd.DataFrame(self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows from the checkpoint."""
        self.rows = list(state_dict["rows"])


class Trial(L.Callback):
    """Report dev UAR, or CCC, to a search after every epoch, and stop where its pruner has seen better.

    The folds of a run follow one another: an epoch is compared with the same epoch of the same fold.

    Args:
        storage: A file with the address of Optuna's storage of the search, which may hold a password.
        study: Name of the study in the storage.
        number: Number of the trial.
        first_fold: The first fold that the trial trains on; the study counts its epochs from there.
    """

    def __init__(self, storage: str | Path, study: str, number: int, first_fold: int = 0) -> None:
        self.storage, self.study, self.number, self.first_fold = Path(storage), study, number, first_fold

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Load the trial."""
        import optuna

        if not trainer.is_global_zero:
            return
        study = optuna.load_study(storage=self.storage.read_text(encoding="utf-8"), study_name=self.study)
        study.pruner = instantiate(study.user_attrs[PRUNER], optuna.pruners.BasePruner)
        self._trial = optuna.trial.Trial(study, study.trials[self.number]._trial_id)
        self._told = set(study.trials[self.number].intermediate_values)
        self._prunes = len(study.directions) == 1

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report the epoch, and stop if the search prunes the trial.

        Raises:
            PrunedError: If the search prunes the trial.
        """
        fold, epochs = trainer.datamodule.data.fold, trainer.max_epochs or 0  # type: ignore[attr-defined]
        measure = measure_in(trainer.callback_metrics)
        step = (fold - self.first_fold) * epochs + trainer.current_epoch
        value = float(trainer.callback_metrics[measure.dev])
        if distributed.on_first_process(lambda: self._tell(step, value)):
            what = f"dev {measure.name} {writer(measure)(value)}"
            raise PrunedError(f"Pruned: {what} in epoch {trainer.current_epoch + 1}, fold {fold}.")

    def _tell(self, step: int, value: float) -> bool:
        """Report a value and return whether the search prunes the trial."""
        if not self._prunes:  # Optuna prunes by one number only
            return False
        if step not in self._told:
            self._trial.report(value, step)
        return self._trial.should_prune()
