"""A probe before training: a model that looks at the padding of a batch is refused, since its scores would depend on it."""

from typing import TYPE_CHECKING

import numpy as np

from ser.errors import ConfigError
from ser.models.classifier import SpeechClassifier

if TYPE_CHECKING:
    from ser.datamodules.data import SpeechData

TOLERANCE = 1e-2
"""Largest difference of logits, relative to their size. Rounding is 1e-3 at most, in single precision and with convolutions
of another size; a mean over padding changes them by their own size."""


def check_padding(model: SpeechClassifier, data: "SpeechData") -> None:
    """Score a short training clip alone, and padded in a batch with a long one.

    Args:
        model: In any mode.
        data: Set up.

    Raises:
        ConfigError: If its `SpeechClassifier.probe` differs.
    """
    lengths = data.labelled.manifest["length"].to_numpy()[data.split.train]
    short, long = data.split.train[[int(lengths.argmin()), int(lengths.argmax())]]
    if lengths.min() == lengths.max():
        return  # no batch of these clips is padded
    with model.evaluating():
        alone = next(iter(data.batches(np.array([short]), model.device, 1)))
        together = next(iter(data.batches(np.array([short, long]), model.device, 2)))
        row = int((together.index == int(short)).nonzero()[0, 0])
        one, padded = model.probe(alone)[0].double(), model.probe(together)[row].double()
    if float((one - padded).abs().max()) > TOLERANCE * max(1.0, float(one.abs().max())):
        raise ConfigError(
            f"model must not depend on padding; the results of {type(model).__name__} for a clip alone and for the same clip "
            "padded in a batch differ. Use lengths in classify: multiply by the mask that ser.features.mask.frame_mask makes "
            "of them, and divide sums over time by lengths."
        )
