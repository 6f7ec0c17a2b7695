"""`Classical`: a classifier or regressor of scikit-learn, or one with its interface, on one vector a clip."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.baselines.candidates import Clips, combinations, estimator_for, fit_candidates, unconverged
from ser.baselines.fitted import Fitted, fitted_from
from ser.datamodules.batch import Batch
from ser.errors import ConfigError, LabelError, RunError
from ser.evaluation.measure import CLASSES, NUMBERS
from ser.features.functionals import DEFAULT, as_vector, names_of
from ser.features.normalise import Statistics
from ser.models.classifier import Config, SpeechClassifier
from ser.runtime.instantiate import instantiate
from ser.runtime.words import and_more

if TYPE_CHECKING:
    from ser.datamodules.data import SpeechData

log = logging.getLogger(__name__)


class Classical(SpeechClassifier):
    """A classifier, or regressor, on functionals of the features, or on features that are one vector a clip already.

    It is fitted once, on the training clips, by `fit`; no gradient is computed.

    Args:
        task: See `SpeechClassifier`.
        name: Its name in folders and tables.
        estimator: ``_target_`` of a classifier with the interface of scikit-learn, and its arguments. A list of values of
            an argument is a choice, which dev speakers make.
        regressor: The class that takes the classifier's place, with the same arguments, where targets are numbers;
            ``None`` if the estimator is a regressor itself, or there is none.
        scaler: A name of `ser.baselines.candidates.SCALERS`, ``none``, or a list of them to choose from.
        functionals: See `ser.features.functionals.Functionals`; unused where the features are one vector a clip.

    Raises:
        ConfigError: If the targets are numbers and there is no regressor, or normalisation would leave nothing of a vector.
    """

    by_gradients = False

    def __init__(
        self,
        task: Config,
        name: str,
        estimator: Config,
        scaler: str | Sequence[str] = "standard",
        functionals: Sequence[str] = DEFAULT,
        regressor: str | None = None,
    ) -> None:
        features = task["features"]
        if not isinstance(features, nn.Module):
            features = instantiate(features, nn.Module)
            self.hparams["task"] = {**task, "features": getattr(features, "rebuilt_from", task["features"])}
        super().__init__({**task, "features": as_vector(features, functionals)})
        if self.normalise.by == "utterance":
            raise ConfigError(
                f"normalise must not be utterance with model={name}, which has one vector per clip: nothing would remain of "
                "it. Set normalise=none or normalise=speaker."
            )
        self.name, self.functionals = name, functionals
        self.estimator = _with_layers(estimator_for(name, estimator, regressor, self.numeric), features)
        self.scaler = scaler if isinstance(scaler, str) else list(scaler)
        self.fitted: Fitted | None = None
        self.chosen: dict[str, Any] = {}

    @override
    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        if self.fitted is None:
            raise RunError(f"{self.name} must be fitted before it predicts. Call fit, or load a finished run.")
        return torch.from_numpy(self.fitted.outputs(self._rows(features))).to(features.device)

    def vector(self, batch: Batch, own: Statistics | None = None) -> Tensor:
        """Return what the classifier gets of a batch, ``(batch, feature)``."""
        return self.normalised(batch, own)[0][..., 0]

    @override
    def probe(self, batch: Batch) -> Tensor:
        return self.vector(batch)

    @override
    def fit(self, data: "SpeechData", by: str) -> dict[str, float]:
        """Fit all candidates on the training clips, and keep the best on the dev clips, the first of ties.

        The one that is kept is not fitted again on both: what dev says of it stays true of it.

        Args:
            data: Set up.
            by: ``dev_uar``, of numbers ``dev_ccc``, or ``dev_loss``.

        Returns:
            These two of the one that is kept; the loss is in nats, of numbers the mean squared error of standardised ones.

        Raises:
            ConfigError: If a setting cannot be used.
            LabelError: If training clips are of one class only.
            RunError: If a feature is not finite.
        """
        self.use_cached_features(data)
        self.fit_statistics(data)
        train, dev = (self._clips(data, side) for side in ("train", "dev"))
        if not self.numeric and len(np.unique(train.y)) < 2:
            raise LabelError(
                f"labels must have two classes or more in the training clips of fold {data.fold}; got only "
                f"{data.classes[train.y[0]]}. Choose other labels, or another protocol."
            )
        grid = combinations({"scaler": self.scaler, **self.estimator})
        measure, classes = (NUMBERS, None) if self.numeric else (CLASSES, len(self.classes))
        found = fit_candidates(grid, train, dev, classes, data.loading.seed, torch.get_num_threads())
        for one in found:
            score = one.measured[measure.dev]
            written = f"{score:.3f}" if self.numeric else f"{100 * score:.1f}"
            log.info("%s: %s, dev %s %s", self.name, _in_words(one.settings), measure.name, written)
        sign = -1 if by == "dev_loss" else 1
        best = max(found, key=lambda one: sign * one.measured[by])
        if unconverged(best.fitted):
            log.warning("%s stopped at model.estimator.max_iter before it converged. Set a higher one.", self.name)
        self.fitted, self.chosen = best.fitted, best.settings
        return dict(best.measured)

    @override
    def cache_key(self) -> dict[str, Any] | None:
        key = super().cache_key()
        return None if key is None else {**key, "functionals": list(self.functionals)}

    @override
    def provenance(self) -> dict[str, Any]:
        return {**super().provenance(), **({"chosen": self.chosen} if self.chosen else {})}

    def get_extra_state(self) -> dict[str, Any]:
        """Return the fitted pipeline for a checkpoint."""
        return {} if self.fitted is None else self.fitted.state()

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Restore the fitted pipeline of a checkpoint."""
        self.fitted = fitted_from(state) if state else None

    def _clips(self, data: "SpeechData", side: str) -> Clips:
        rows, x, index = data.split.sides()[side], [], []
        with self.evaluating():
            for batch in data.batches(rows, self.device):
                x.append(self._rows(self.normalised(batch, self._own.get(side))[0]))
                index.append(batch.index.cpu().numpy())
        read = np.concatenate(index)
        order = read.argsort()
        if side == "train":
            data.check_fitted(read)
        target = data.labelled.target[read[order]]
        if self.scale is not None:
            mean, deviation = self.scale.numpy()
            target = (target - mean) / deviation
        return Clips(np.concatenate(x)[order], target)

    def _rows(self, features: Tensor) -> np.ndarray:
        """Return ``(clip, feature)`` float64 of ``(batch, feature, 1)``."""
        rows: np.ndarray = features[..., 0].detach().double().cpu().numpy()
        if wrong := np.flatnonzero(~np.isfinite(rows).all(axis=0)).tolist():
            names = names_of(self.features)
            raise RunError(
                f"features must be finite for every clip; got NaN or infinity in {and_more([names[i] for i in wrong])}. "
                "Choose other features, or report it."
            )
        return rows


def _with_layers(estimator: dict[str, Any], features: nn.Module) -> dict[str, Any]:
    """Return an estimator that takes the layers of an encoder one by one with their number; any other as it is."""
    if estimator.get("n_layers", 1) is not None:
        return estimator
    if not (getattr(features, "one_frame", False) and getattr(features, "n_layers", 1) > 1):
        raise ConfigError(
            "features must be all layers of an encoder, one vector a clip, for "
            f"{estimator['_target_'].rpartition('.')[2]}; got {type(features).__name__}. "
            "Set features=encoder, features.layer=null and features.summary=statistics."
        )
    return {**estimator, "n_layers": features.n_layers}


def _in_words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in settings.items()) or "one candidate"
