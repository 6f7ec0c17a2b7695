"""What a finished training knows of the probabilities of its model: fitted on its dev speakers, stored in its checkpoint."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Calibration:
    """A temperature, and a threshold of prediction sets; see `ser.evaluation.calibration` and `ser.evaluation.conformal`.

    Args:
        temperature: What logarithms of probabilities are divided by.
        threshold: How improbable a class may be, before the temperature is applied, and still belong to a set.
        level: Share of the dev utterances whose set holds their class.

    Raises:
        ValueError: If a number is out of its range.
    """

    temperature: float
    threshold: float
    level: float

    def __post_init__(self) -> None:
        for name, most in (("temperature", float("inf")), ("threshold", 1.0), ("level", 1.0)):
            value = getattr(self, name)
            if not (isinstance(value, float) and 0 <= value <= most and (value > 0 or name == "threshold")):
                raise ValueError(f"{name} must be a number above 0, at most {most:g}; got {value!r}.")
