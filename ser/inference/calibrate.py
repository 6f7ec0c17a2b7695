"""Calibrate a model on the dev speakers of its training, never on its test speakers."""

import pandas as pd

from ser.evaluation import calibration, conformal, predictions, selective
from ser.models.calibration import Calibration


def calibration_of(dev: pd.DataFrame) -> Calibration:
    """Return what fits the dev predictions of a fold; temperature and threshold are those of `ser.evaluation.profile`.

    Where every clip is right no temperature fits, since the lowest is the best; it is then 1, which changes nothing.

    Args:
        dev: Predictions; see `ser.evaluation.predictions`.

    Example:
        >>> about = {"utterance": list("1234"), "target": list("aaab"), "p_a": 0.9, "p_b": 0.1}
        >>> found = calibration_of(pd.DataFrame(about))  # right 3 times in 4: log odds ln 9 should be ln 3
        >>> round(found.temperature, 3), found.threshold
        (2.0, 1.0)
    """
    p, target = predictions.probabilities(dev), predictions.target_indices(dev)
    all_right = bool((p.argmax(axis=1) == target).all())
    temperature = 1.0 if all_right else calibration.fit_temperature(p, target)
    scaled = p if temperature == 1 else calibration.apply_temperature(p, temperature)
    curve = selective.thresholds(scaled, target)
    return Calibration(temperature, conformal.threshold(p, target), conformal.LEVEL, tuple(curve))
