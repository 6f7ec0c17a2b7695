"""Baselines without listening: how often a test clip's class is guessed from what is known of it without its speech.

A guess is made from the training side of its fold alone. Where one of them is good, a model need not have heard an
emotion to be as good: in SAVEE most sentences are said with one emotion only, so that the words give it away.

Background: Poliak et al., 2018, Hypothesis only baselines in natural language inference, https://doi.org/10.18653/v1/S18-2023.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ser.protocols.split import Split
from ser.protocols.stamps import SENTENCE_TELLS, SPEAKER_TELLS

MAJORITY, SENTENCE, SPEAKER, LEVEL, WORDS = "majority class", "sentence", "speaker", "duration and level", "words"
GIVES_AWAY = 0.10
"""How far above chance the UAR of a sentence or a speaker is when results are stamped."""
STAMPED = {SENTENCE: SENTENCE_TELLS, SPEAKER: SPEAKER_TELLS}
"""What no model should answer from, with its stamp. Duration and level are part of how an emotion is said."""
LEAST_DB = -120.0


@dataclass(frozen=True)
class Baseline:
    """What is guessed from one thing, over the test clips of all folds.

    Attributes:
        name: What a guess is made from: `MAJORITY`, `SENTENCE`, `SPEAKER`, `LEVEL` or `WORDS`.
        uar: Mean recall of the classes.
        accuracy: Share of right guesses.
        chance: UAR of the majority class.
    """

    name: str
    uar: float
    accuracy: float
    chance: float

    @property
    def gives_away(self) -> bool:
        """Whether results are stamped, because the class follows from what a model should not answer from."""
        return self.name in STAMPED and self.uar >= self.chance + GIVES_AWAY

    @property
    def stamp(self) -> str:
        """The stamp of results, if it gives the class away."""
        return f"{STAMPED[self.name]} ({100 * self.uar:.0f} % UAR without audio)"

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


def baselines(
    splits: Sequence[Split], manifest: pd.DataFrame, classes: pd.Series, levels: np.ndarray | None = None
) -> tuple[Baseline, ...]:
    """Return what each guess reaches. Baselines for which a corpus has no facts are left out.

    Args:
        splits: Folds of one protocol; those without a training or a test side have no part.
        manifest: See `ser.corpora.manifest`; ``start`` and ``length`` in samples are not read.
        classes: The class of each of its rows.
        levels: ``(utterance, 2)`` duration in s and level in dB, as of `durations_and_levels`.

    Example:
        >>> from ser.corpora.demo import Demo
        >>> from ser.corpora.manifest import to_table
        >>> from ser.protocols.loso import LeaveOneSpeakerOut
        >>> manifest = to_table(Demo().utterances())
        >>> for one in baselines(LeaveOneSpeakerOut().splits(manifest), manifest, manifest["emotion"]):
        ...     print(one.name, round(one.uar, 2))
        majority class 0.17
        sentence 0.17
    """
    tested = [split for split in splits if len(split.train) and len(split.test)]
    if not tested:
        return ()
    keys = [name for name in STAMPED if any(_shared(manifest[name], split) for split in tested)]
    found: dict[str, list[pd.Series]] = {}
    for split in tested:
        for name, hits in _hits(split, manifest, classes, keys, levels):
            found.setdefault(name, []).append(pd.Series(hits, index=split.test))
    every = [(name, pd.concat(each)) for name, each in found.items()]
    chance = 1 / classes.iloc[every[0][1].index].nunique()
    return tuple(
        Baseline(
            name, float(hits.groupby(classes.iloc[hits.index].to_numpy()).mean().mean()), float(hits.mean()), chance
        )
        for name, hits in every
    )


def durations_and_levels(samples: np.ndarray, manifest: pd.DataFrame, rate: int) -> np.ndarray:
    """Return the duration in s and the level in dB of full scale of each clip, ``(utterance, 2)``.

    Args:
        samples: ``(sample,)`` integers of 16 bits, all clips end to end.
        manifest: ``start`` and ``length`` of each clip in samples.
        rate: Samples in a second.

    Example:
        >>> clips = pd.DataFrame({"start": [0, 4], "length": [4, 2]})
        >>> durations_and_levels(np.array([16384, -16384] * 3, np.int16), clips, rate=2).round(1)
        array([[ 2., -6.],
               [ 1., -6.]])
    """
    spans = manifest[["start", "length"]].itertuples(index=False)
    powers = [np.square(samples[first : first + size].astype(np.float32) / 2**15).mean() for first, size in spans]
    levels = 10 * np.log10(np.maximum(powers, 10 ** (LEAST_DB / 10)))
    return np.column_stack([manifest["length"].to_numpy() / rate, levels])


def _hits(
    split: Split, manifest: pd.DataFrame, classes: pd.Series, keys: Sequence[str], levels: np.ndarray | None
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each guess's name, and the chance of being right for each test clip."""
    target = classes.iloc[split.test].to_numpy()
    yield MAJORITY, (target == classes.iloc[split.train].mode()[0]).astype(float)
    for name in keys:
        yield name, class_of_key(manifest[name], classes, split)
    if levels is not None:
        yield LEVEL, _guessed(levels, classes, split) == target
    sentences = manifest["sentence"]
    if sentences.notna().all() and sentences.str.contains(" ").mean() > 1 / 2:  # words, and not only an id
        yield WORDS, _by_words(sentences, classes, split) == target


def _shared(keys: pd.Series, split: Split) -> bool:
    return bool(set(keys.iloc[split.train].dropna()) & set(keys.iloc[split.test].dropna()))


def class_of_key(keys: pd.Series, classes: pd.Series, split: Split) -> np.ndarray:
    """Return each test clip's chance of being right when its class is guessed from a key, such as its sentence.

    The guess is the class that the key has in training, weighted as if all classes were equally frequent there. Ties count as
    their chance; a key that is unknown, or not in training, is a tie of all classes.

    Args:
        keys: The key of each row; missing where it is unknown.
        classes: The class of each row.
        split: One fold.

    Example:
        >>> keys, classes = pd.Series(list("aabbab")), pd.Series(["sad", "sad", "sad", "happy", "sad", "happy"])
        >>> class_of_key(keys, classes, Split(0, np.arange(4), np.empty(0, int), np.arange(4, 6)))
        array([1., 1.])
    """
    key, target = keys.iloc[split.train].to_numpy(), classes.iloc[split.train].to_numpy()
    counts = pd.crosstab(pd.Series(key, name="key"), pd.Series(target, name="class"))
    weight = counts / pd.Series(target).value_counts()
    best = weight.eq(weight.max(axis=1), axis=0)
    chance = best.div(best.sum(axis=1), axis=0)
    asked = chance.reindex(keys.iloc[split.test].to_numpy(), fill_value=1 / chance.shape[1])
    position = pd.Index(list(chance.columns)).get_indexer(pd.Index(classes.iloc[split.test]))
    hits = asked.to_numpy()[np.arange(len(asked)), position]
    return np.where(position < 0, 0.0, hits)  # a class that is not in training is never guessed


def _guessed(values: Any, classes: pd.Series, split: Split, scaled: bool = True) -> np.ndarray:
    """Return the classes of the test clips by a logistic regression on some values, all classes weighing the same."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    trained = classes.iloc[split.train]
    if len(trained.unique()) == 1:  # which scikit-learn refuses
        return np.full(len(split.test), trained.iloc[0], dtype=object)
    steps = [StandardScaler()] * scaled
    model = make_pipeline(*steps, LogisticRegression(class_weight="balanced", max_iter=1000))
    model.fit(values[split.train], trained)
    return np.asarray(model.predict(values[split.test]))


def _by_words(sentences: pd.Series, classes: pd.Series, split: Split) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = sentences.str.partition("/")[2]
    vectors = TfidfVectorizer(token_pattern=r"\S+").fit(words.iloc[split.train]).transform(words)
    return _guessed(vectors, classes, split, scaled=False)
