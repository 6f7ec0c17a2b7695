"""What a finished training knows of the probabilities of its model: fitted on its dev speakers, stored in its checkpoint."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Calibration:
    """A temperature, a threshold of prediction sets, and the risk by confidence.

    See `ser.evaluation.calibration`, `ser.evaluation.conformal` and `ser.evaluation.selective.thresholds`.

    Args:
        temperature: What logarithms of probabilities are divided by.
        threshold: How improbable a class may be, before the temperature is applied, and still belong to a set.
        level: Share of the dev utterances whose set holds their class.
        curve: Confidence after the temperature, and the coverage and the risk of the dev utterances of at least that
            confidence; empty where a training of an older version did not store it.

    Raises:
        ValueError: If a number is out of its range.
    """

    temperature: float
    threshold: float
    level: float
    curve: tuple[tuple[float, float, float], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "curve", tuple(tuple(row) for row in self.curve))
        if not all(len(row) == 3 and all(0 <= value <= 1 for value in row) for row in self.curve):
            raise ValueError(
                f"curve must have a confidence, a coverage and a risk from 0 to 1 a row; got {self.curve}."
            )
        for name, most in (("temperature", float("inf")), ("threshold", 1.0), ("level", 1.0)):
            value = getattr(self, name)
            if not (isinstance(value, float) and 0 <= value <= most and (value > 0 or name == "threshold")):
                raise ValueError(f"{name} must be a number above 0, at most {most:g}; got {value!r}.")

    def least_confidence(self, risk: float) -> float:
        """Return the confidence from which on no more than a share of the dev answers was wrong; infinity if there is none.

        Example:
            >>> Calibration(1.0, 0.9, 0.9, ((0.0, 1.0, 0.4), (0.7, 0.75, 0.25))).least_confidence(0.3)
            0.7
        """
        return next((confidence for confidence, _, wrong in self.curve if wrong <= risk), float("inf"))
