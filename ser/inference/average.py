"""`AverageScorer`: several models of one run answer together."""

from collections.abc import Iterable, Sequence

import numpy as np

from ser.errors import ConfigError
from ser.inference.scorer import Clips, Scorer, Scores
from ser.models.calibration import Calibration
from ser.models.familiar import Familiar
from ser.protocols.stamps import AVERAGE, combined


class AverageScorer:
    """A `ser.inference.scorer.Scorer` whose answers are the mean of those of others.

    Probabilities are averaged after each model's own temperature, the thresholds of prediction sets as they are. Embeddings
    stand one after the other. No speaker is left to find how often the average errs: it has no curve of its risk.

    Args:
        scorers: Models with the same classes and the same decoding, such as those of a run's folds.

    Raises:
        ConfigError: If they differ in these.
    """

    def __init__(self, scorers: Sequence[Scorer]) -> None:
        first = scorers[0]
        for other in scorers[1:]:
            for part in ("classes", "numeric", "audio"):
                mine, theirs = getattr(first, part), getattr(other, part)
                if mine != theirs:
                    raise ConfigError(f"{part} must be the same in every model of an average; got {mine} and {theirs}.")
        self._scorers = tuple(scorers)
        self.name = f"average of {len(scorers)} {first.name}"
        self.classes, self.numeric, self.audio = first.classes, first.numeric, first.audio
        stamps = [stamp for scorer in scorers for stamp in scorer.stamps]
        self.stamps = combined([*stamps, f"{AVERAGE} ({len(scorers)})"])
        every = {corpus["name"]: corpus for scorer in scorers for corpus in scorer.trained_on}
        self.trained_on = list(every.values())
        self.calibration = _calibration([scorer.calibration for scorer in scorers])
        familiar = [scorer.familiar for scorer in scorers if isinstance(scorer.familiar, Familiar)]
        self.familiar = MeanDistance(familiar) if len(familiar) == len(scorers) else None

    def score(self, clips: Clips, *, embed: bool = False) -> Scores:
        """See `ser.inference.scorer.Scorer.score`."""
        found = [scorer.score(clips, embed=embed) for scorer in self._scorers]
        vectors = [scores.embedding for scores in found if scores.embedding is not None]
        return Scores(
            np.mean([scores.answers for scores in found], axis=0),
            np.mean([scores.scaled for scores in found], axis=0),
            np.concatenate(vectors, axis=1) if vectors else None,
        )

    @property
    def adapts_to(self) -> str | None:
        """See `ser.inference.scorer.Scorer.adapts_to`."""
        return self._scorers[0].adapts_to

    @property
    def adapted(self) -> bool:
        """See `ser.inference.scorer.Scorer.adapted`."""
        return all(scorer.adapted for scorer in self._scorers)

    def adapt(self, clips: Iterable[Clips]) -> None:
        """See `ser.inference.scorer.Scorer.adapt`; the clips are held in memory meanwhile."""
        held = list(clips)
        for scorer in self._scorers:
            scorer.adapt(held)


class MeanDistance:
    """The mean of several models' distances, each as a share of its own limit; see `ser.models.familiar.Familiar`.

    Args:
        parts: Those of the models, in the order of their embeddings.
    """

    limit = 1.0

    def __init__(self, parts: Sequence[Familiar]) -> None:
        self._parts = tuple(parts)

    def distance(self, embedding: np.ndarray) -> np.ndarray:
        """Return the distances of embeddings ``(clip, unit)``, those of the models one after the other: ``(clip,)``."""
        ends = np.cumsum([len(part.centre) for part in self._parts])[:-1]
        pairs = zip(self._parts, np.split(embedding, ends, axis=1), strict=True)
        mean: np.ndarray = np.mean([part.distance(vectors) / part.limit for part, vectors in pairs], axis=0)
        return mean


def _calibration(found: Sequence[Calibration | None]) -> Calibration | None:
    """Return the mean threshold, with a temperature of 1: those of the models are in the answers. None if one has none."""
    if not (known := [one for one in found if one is not None]) or len(known) < len(found):
        return None
    return Calibration(1.0, float(np.mean([one.threshold for one in known])), known[0].level)
