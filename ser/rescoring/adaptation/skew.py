"""`Skew`: score a speaker-adapted run that knows clips of each test speaker in which one class is too frequent.

A test set holds as many clips of each class, and so do the statistics of a speaker that are taken from it. Recordings of
use do not: most are neutral. Statistics of a speaker then also hold the emotion, which normalisation takes away. So the
number to quote of a speaker-adapted model is the one where 70 % of the known clips are of one class.

The statistics that a clip is normalised by never include the clip itself.

A cure that was published for it, iterative feature normalisation, takes a speaker's statistics from the clips that the model
itself finds neutral: Busso et al., 2013, https://doi.org/10.1109/T-AFFC.2013.26. With ``suite.rounds`` it has further rows.
Here only the test side changes; the statistics in training are of all clips of a speaker.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from rich.progress import track
from rich.table import Table
from typing_extensions import override

from ser.datamodules.data import SpeechData
from ser.errors import ConfigError
from ser.evaluation import predictions
from ser.features.normalise import Moments, Statistics
from ser.models.classifier import SpeechClassifier
from ser.rescoring.adaptation import report
from ser.rescoring.adaptation.adapted import AdaptedSuite, is_whole
from ser.rescoring.adaptation.results import measure_skew
from ser.runs.folder import RunFolder

NEUTRAL = "neutral"
NONE, BALANCED, NEUTRAL_ALONE, ALL = "none", "as many of each class", "neutral alone", "all others"
MOST_NEUTRAL = ", the half that sounds neutral"


class Known(NamedTuple):
    """What is known of the test speakers.

    Attributes:
        name: In words.
        draw: Number of the draw.
        clips: ``(clip,)`` whether each test clip is known.
        skewed: Whether one class is too frequent among them.
    """

    name: str
    draw: int
    clips: np.ndarray
    skewed: bool = False


class Skew(AdaptedSuite):
    """UAR by the classes of the known clips.

    Args:
        clips: Number of known clips of each speaker, or fewer where a class does not have enough.
        shares: Shares of one class among them; each class is that one in turn.
        draws: Number of draws, of each class.
        seed: Seed of the draws.
        rounds: Of `iterated` normalisation, in further rows where one class is too frequent; 0 is none, as is a corpus
            without a neutral class.

    Raises:
        ConfigError: If one of them is out of its range.
    """

    def __init__(self, clips: int, shares: Sequence[float], draws: int, seed: int, rounds: int = 0) -> None:
        wholes = (("clips", clips, 1), ("draws", draws, 1), ("seed", seed, 0), ("rounds", rounds, 0))
        for name, value, least in wholes:
            if not is_whole(value, least):
                raise ConfigError(f"suite.{name} must be an integer of at least {least}; got {value!r}.")
        if not isinstance(shares, list | tuple) or not all(isinstance(s, float) and 0 < s < 1 for s in shares):
            raise ConfigError(f"suite.shares must be a list of shares between 0 and 1; got {shares!r}.")
        self.clips, self.shares, self.draws, self.seed, self.rounds = clips, sorted(shares), draws, seed, rounds
        self.name = "skew"
        self.settings = {"clips": clips, "shares": self.shares, "draws": draws, "seed": seed, "rounds": rounds}

    @override
    def measure(self, table: pd.DataFrame) -> dict[str, Any]:
        return measure_skew(table)

    @override
    def report(self, measured: Mapping[str, Any], path: Path, title: str, stamps: tuple[str, ...]) -> Table:
        report.skew_picture(measured, path, title, stamps=stamps)
        return report.skew_table(measured, title, stamps)

    @override
    def score_fold(
        self, model: SpeechClassifier, data: SpeechData, same: pd.DataFrame, fold: RunFolder
    ) -> pd.DataFrame:
        """Score a fold's test speakers with each choice of known clips.

        Returns:
            The predictions tables, concatenated, with the further columns ``known`` and ``draw``.
        """
        rows = data.split.test
        manifest, names = data.labelled.manifest.iloc[rows], data.labelled.class_names
        assert names is not None  # as `run` has checked
        speaker, target = manifest["speaker"].to_numpy(dtype=str), names.to_numpy()[rows]
        by_clip, tables = moments_by_clip(model, data, rows), []

        def scored(known: np.ndarray) -> np.ndarray:
            own = model.normalise.statistics(without_own(by_clip, speaker, known))
            return normalised_by(model, data, rows, own)

        every = list(self.choices(speaker, target, data.fold))
        for known in track(every, f"Fold {data.fold}, {self.name}", transient=True):
            answers = {known.name: scored(known.clips)}
            if known.skewed and self.rounds and NEUTRAL in data.classes:
                neutral = data.classes.index(NEUTRAL)
                answers[known.name + MOST_NEUTRAL] = iterated(scored, speaker, known.clips, neutral, self.rounds)
            for name, probabilities in answers.items():
                tables.append(predictions.with_probabilities(same, probabilities).assign(known=name, draw=known.draw))
        return pd.concat(tables, ignore_index=True)

    def choices(self, speaker: np.ndarray, target: np.ndarray, fold: int) -> Iterator[Known]:
        """Yield the known clips of every speaker, for each choice and draw.

        Shapes:
            - speaker, target: ``(clip,)`` names
        """
        classes = sorted(set(target))
        each = max(1, round(self.clips / len(classes)))
        yield Known(NONE, 0, np.zeros(len(speaker), bool))
        for draw in range(self.draws):
            random = np.random.default_rng([self.seed, fold, draw])
            yield Known(BALANCED, draw, chosen_clips(speaker, target, dict.fromkeys(classes, each), random))
        for share in self.shares:
            for draw, name in enumerate(classes * self.draws):
                random = np.random.default_rng([self.seed, fold, draw, round(1000 * share)])
                clips = skewed(speaker, target == name, share, self.clips, random)
                yield Known(f"{100 * share:g} % of one class", draw, clips, skewed=True)
        if NEUTRAL in classes:
            for draw in range(self.draws):
                random = np.random.default_rng([self.seed, fold, draw])
                yield Known(NEUTRAL_ALONE, draw, chosen_clips(speaker, target, {NEUTRAL: self.clips}, random))
        yield Known(ALL, 0, np.ones(len(speaker), bool))


def chosen_clips(
    speaker: np.ndarray, target: np.ndarray, numbers: Mapping[str, int], random: np.random.Generator
) -> np.ndarray:
    """Choose random clips of every speaker: so many of each class, or all where there are fewer.

    Shapes:
        - speaker, target: ``(clip,)`` names
        - returns: ``(clip,)`` whether each is chosen

    Example:
        >>> speaker, target = np.array(list("aaab")), np.array(["sad", "sad", "happy", "sad"])
        >>> chosen_clips(speaker, target, {"happy": 2}, np.random.default_rng(0))
        array([False, False,  True, False])
    """
    order = random.permutation(len(speaker))
    table = pd.DataFrame({"speaker": speaker, "target": target}).iloc[order]
    place = table.groupby(["speaker", "target"]).cumcount()
    return (place < table["target"].map(numbers).fillna(0)).sort_index().to_numpy(dtype=bool)


def skewed(
    speaker: np.ndarray, is_class: np.ndarray, share: float, clips: int, random: np.random.Generator
) -> np.ndarray:
    """Choose random clips of every speaker, of which one class has a share.

    Shapes:
        - speaker: ``(clip,)`` names
        - is_class: ``(clip,)`` whether each is of the class
        - returns: ``(clip,)`` whether each is chosen

    Example:
        >>> is_class = np.array([True] * 8 + [False] * 8)
        >>> found = skewed(np.full(16, "a"), is_class, 0.8, 10, np.random.default_rng(0))
        >>> int((found & is_class).sum()), int((found & ~is_class).sum())
        (8, 2)
    """
    found = np.zeros(len(speaker), bool)
    for name in np.unique(speaker):
        inside, outside = (np.flatnonzero((speaker == name) & which) for which in (is_class, ~is_class))
        number = min(len(inside), max(1, round(share * clips)))
        others = min(len(outside), round(number * (1 - share) / share))
        found[random.permutation(inside)[:number]] = True
        found[random.permutation(outside)[:others]] = True
    return found


def iterated(
    scored: Callable[[np.ndarray], np.ndarray], speaker: np.ndarray, known: np.ndarray, neutral: int, rounds: int
) -> np.ndarray:
    """Return probabilities by the half of the known clips that sounds neutral, which each round finds anew.

    Args:
        scored: Takes whether each clip is known, ``(clip,)``, and returns probabilities, ``(clip, class)``.
        speaker: ``(clip,)`` names.
        known: ``(clip,)`` whether each is known.
        neutral: Position of the neutral class.
        rounds: Number of times that the half is found.
    """
    probabilities = scored(known)
    for _ in range(rounds):
        probabilities = scored(upper_half(speaker, known, probabilities[:, neutral]))
    return probabilities


def upper_half(speaker: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Choose the half of the known clips of each speaker with the highest values, rounded up.

    Shapes:
        - speaker, known, values: ``(clip,)``
        - returns: ``(clip,)`` whether each is chosen

    Example:
        >>> known = np.array([True, True, True, False])
        >>> upper_half(np.full(4, "a"), known, np.array([0.2, 0.6, 0.4, 0.9]))
        array([False,  True,  True, False])
    """
    by_speaker = pd.DataFrame({"known": known, "value": np.where(known, values, -np.inf)}).groupby(speaker)
    rank = by_speaker["value"].rank(method="first", ascending=False)
    half = (by_speaker["known"].transform("sum") + 1) // 2
    return np.asarray(known & (rank <= half).to_numpy(dtype=bool))


def moments_by_clip(model: SpeechClassifier, data: SpeechData, rows: np.ndarray) -> Moments:
    """Return the moments of the features of each of some utterances, in their order."""
    found, position = Moments(len(rows), model.n_features), _positions(data, rows)
    with model.evaluating():
        for batch in data.batches(rows, model.device):
            features, frames = batch.features or model.extract(batch.waveform, batch.lengths)
            found.add(features, frames, position[batch.index.cpu()])
    return found


def without_own(by_clip: Moments, speaker: np.ndarray, known: np.ndarray) -> Moments:
    """Return the moments of the known clips of each clip's speaker, less its own.

    Shapes:
        - by_clip: a group for each clip
        - speaker: ``(clip,)`` names
        - known: ``(clip,)`` whether each is known
    """
    names, code = np.unique(speaker, return_inverse=True)
    of, members = torch.from_numpy(code), torch.from_numpy(known.copy())[:, None]
    found = Moments(len(speaker), by_clip.total.shape[1])
    for name in ("total", "squares", "frames", "clips"):
        own = getattr(by_clip, name) * members
        whole = torch.zeros(len(names), own.shape[1], dtype=own.dtype).index_add_(0, of, own)
        setattr(found, name, whole[of] - own)
    return found


def normalised_by(model: SpeechClassifier, data: SpeechData, rows: np.ndarray, own: Statistics) -> np.ndarray:
    """Return the probabilities of some utterances, each normalised by statistics of its own.

    Shapes:
        - own: a group for each of ``rows``
        - returns: ``(utterance, class)``, in the order of ``rows``
    """
    position, scored = _positions(data, rows), torch.zeros(len(rows), len(data.classes), dtype=torch.float64)
    with model.evaluating():
        for batch in data.batches(rows, model.device):
            at = position[batch.index.cpu()]
            features, frames = batch.features or model.extract(batch.waveform, batch.lengths)
            normalised = model.normalise(features, frames, own.of(at.to(own.mean.device)))
            scored[at] = model.answers(model.classify(normalised, frames))
    return scored.numpy()


def _positions(data: SpeechData, rows: np.ndarray) -> torch.Tensor:
    """Return the position of each row of the manifest among some of them; -1 for the others."""
    position = torch.full((len(data.labelled.manifest),), -1)
    position[torch.from_numpy(rows)] = torch.arange(len(rows))
    return position
