"""A comparison of systems: its rows, groups, tests and sections.

`ser.comparison.leaderboard` makes them; `ser.comparison.cells` writes them, and `tables`, `plots` and `page` show them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ser.evaluation.comparison import SIGNIFICANT
from ser.evaluation.measure import CLASSES, Measure
from ser.protocols.stamps import speakers_in_words
from ser.report.format import p_value, percent, with_interval, writer
from ser.report.guesses import is_beaten, source_of
from ser.runs.identity import safe
from ser.runtime.help_page import protocol_summary
from ser.runtime.words import and_more, counted

HASHES_SHOWN = 6
ENDS = ("low", "high")
OF_WEIGHTS = "of these weights, not of the methods"


@dataclass(frozen=True)
class Row:
    """A system's scores.

    Attributes:
        score, low, high: The pooled main score, UAR or CCC (the mean over seeds), and its 95 % interval over speakers.
        caution: What a reader must know before trusting the interval, or ``None``.
        mean, sd: Mean and standard deviation (n - 1) over folds of the main score, each fold's the mean over seeds.
        seed_sd: Standard deviation (n - 1) over seeds of the pooled main score; ``None`` with one seed.
        others: Further scores by their keys, pooled; the mean over seeds.
        bounds: The 95 % intervals of those that tables show, by the same keys.
        parameters: Of one model; ``None`` where no metrics.json has them.
        train_seconds: Of all folds of one seed.
        stamps: Warnings that must stand beside the numbers.
        runs: The folders.
        measure: What the scores are of: classes or numbers.
    """

    system: str
    score: float
    low: float | None
    high: float | None
    caution: str | None
    mean: float
    sd: float | None
    seed_sd: float | None
    others: Mapping[str, float]
    parameters: int | None
    train_seconds: float | None
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    utterances: int
    speakers: int
    stamps: tuple[str, ...]
    runs: tuple[str, ...]
    measure: Measure = CLASSES
    bounds: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)

    def flat(self) -> dict[str, Any]:
        """Return the row under the names that ``comparison.csv`` has for its columns."""
        key, found = self.measure.key, {each.name: getattr(self, each.name) for each in fields(self)}
        del found["measure"]
        ends = found.pop("bounds").items()
        found["others"] = {
            **self.others,
            **{f"{key}_{end}": value for key, both in ends for end, value in zip(ENDS, both, strict=True)},
        }
        names = {"score": key, "mean": f"{key}_mean", "sd": f"{key}_sd", "seed_sd": f"{key}_seed_sd"}
        flat: dict[str, Any] = {}
        for name, value in found.items():
            flat |= value if name == "others" else {names.get(name, name): value}
        return flat


@dataclass(frozen=True)
class Equality:
    """A test of whether two systems are equal within a margin (`ser.evaluation.equivalence.equivalence`).

    Attributes:
        margin: Of the main score; 0.02 is 2 points of UAR.
        p, p_holm: ``None`` where there are too few speakers to conclude.
    """

    margin: float
    p: float | None
    p_holm: float | None

    @property
    def is_shown(self) -> bool:
        """Whether the two are equal within the margin, as far as the test allows to say so."""
        return self.p_holm is not None and self.p_holm < SIGNIFICANT


@dataclass(frozen=True)
class Opinion:
    """A test of the same difference that allows for sentences, too (`ser.evaluation.crossed.second_opinion`).

    Attributes:
        p, p_holm: ``None`` where it is not valid.
        why: Why it is not.
    """

    p: float | None
    p_holm: float | None
    why: str | None


@dataclass(frozen=True)
class Pair:
    """A paired test: ``one`` minus ``other`` in the pooled main score, on the same utterances of the same speakers.

    Attributes:
        of_methods: See `ser.evaluation.comparison.Paired`.
        equality: ``None`` where it was not asked for.
        opinion: The second opinion; `p_holm` decides.
    """

    one: str
    other: str
    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float
    caution: str | None
    of_methods: bool
    measure: Measure = CLASSES
    equality: Equality | None = None
    opinion: Opinion | None = None

    def flat(self) -> dict[str, Any]:
        """Return the test under the names that ``pairs.csv`` has for its columns."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        found["measure"] = self.measure.key
        for prefix in ("equality", "opinion"):
            more = found.pop(prefix)
            found |= {f"{prefix}_{name}": value for name, value in (asdict(more) if more else {}).items()}
        return found

    @property
    def margin(self) -> str:
        """The margin of equality, such as ``±2 points``; empty where it was not asked for."""
        if self.equality is None:
            return ""
        return f"±{self.equality.margin:g}" if self.measure.numeric else f"±{100 * self.equality.margin:g} points"


@dataclass(frozen=True)
class Group:
    """Systems scored on the same utterances, best first.

    Attributes:
        apart: The reason where they belong to no section.
        data: See `name`.
        guess: The best guess without listening, where it is known: see `ser.report.guesses.highest`.
    """

    rows: tuple[Row, ...]
    corpora: tuple[str, ...]
    protocol: str
    labels: str
    classes: tuple[str, ...]
    split_hashes: tuple[str, ...]
    fingerprint: str
    apart: str = ""
    data: str = ""
    guess: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The corpora, such as ``ravdess+savee``, or which trained and which tested."""
        return self.data or "+".join(self.corpora)

    @property
    def anchor(self) -> str:
        """The name as the id of an element of a page."""
        return safe(self.name)

    @property
    def where(self) -> str:
        """Corpora and protocol, such as ``ravdess, luna5``."""
        return f"{self.name}, {self.protocol}"

    @property
    def measure(self) -> Measure:
        """What its systems are scored by."""
        return self.rows[0].measure

    @property
    def chance(self) -> float:
        """The UAR of guessing, or the CCC of the same answer for every clip."""
        return 0.0 if self.measure.numeric else 1 / len(self.classes)

    @property
    def cautions(self) -> tuple[str, ...]:
        """The cautions of its rows, each once."""
        return tuple(dict.fromkeys(row.caution for row in self.rows if row.caution))

    @property
    def stamps(self) -> tuple[str, ...]:
        """The stamps of its rows, each once."""
        return tuple(dict.fromkeys(stamp for row in self.rows for stamp in row.stamps))

    @property
    def facts(self) -> dict[str, str]:
        """What the systems were scored on, in words."""
        first, hashes = self.rows[0], self.split_hashes
        folds = folds_in_words(first.folds)
        return {
            "corpora": self.data or " + ".join(self.corpora),
            "protocol": ". ".join(filter(None, (f"{self.protocol}, {folds}", protocol_summary(self.protocol)))),
            "scored": f"{counted(first.utterances, 'utterance')} of {speakers_in_words(first.stamps, first.speakers)}",
            "labels": f"{self.labels} ({', '.join(self.classes)})",
            "fingerprint": self.fingerprint,
            "split hash": and_more(hashes, HASHES_SHOWN),
        }


@dataclass(frozen=True)
class Section:
    """The systems of a corpus that can be compared, and the tests between them.

    Attributes:
        best, baseline: Names of the systems that the others are tested against.
        baseline_reason: Why that one is the baseline.
    """

    group: Group
    best: str
    baseline: str
    baseline_reason: str
    pairs: tuple[Pair, ...]

    @property
    def cautions(self) -> tuple[str, ...]:
        """What to know before trusting an interval or a test, each once."""
        tests = (pair.caution for pair in self.pairs if pair.caution)
        return tuple(dict.fromkeys((*self.group.cautions, *tests)))

    @property
    def headline(self) -> str:
        """The result in a sentence or two, no stronger than the tests allow."""
        best = self.group.rows[0]
        write = writer(best.measure)
        text = f"{best.system} has a {best.measure.name} of "
        text += with_interval(best.score, best.low, best.high, " %", write=write)
        beaten = self._not_beaten
        if not self.pairs:
            return f"{text}; there is no other system to compare it with.{beaten}"
        pair = self.pairs[0]
        lead = with_interval(pair.difference, pair.low, pair.high, " points", write=write)
        whose = "" if pair.of_methods else f", {OF_WEIGHTS}"
        lead += f", {p_value(pair.p_holm)} after Holm{whose}"
        speakers = speakers_in_words(best.stamps, best.speakers)
        verdict = "" if pair.p_holm < SIGNIFICANT else f": too little to tell the two apart on {speakers}"
        equal = ""
        if pair.equality is not None and pair.equality.p_holm is not None and pair.equality.is_shown:
            equal = f" The two are equal within {pair.margin}, {p_value(pair.equality.p_holm)} after Holm{whose}."
        return f"{text}, the highest. Its lead over {pair.other}, the next, is {lead}{verdict}.{equal}{beaten}"

    @property
    def _not_beaten(self) -> str:
        """Name the systems that are not clearly better than the best guess without listening."""
        if (guess := self.group.guess) is None:
            return ""
        short = [row.system for row in self.group.rows if not is_beaten(guess, row.score, row.low)]
        if not short:
            return ""
        words = f"a guess from {source_of(guess)} ({percent(guess['uar'])})"
        return f" Not clearly better than {words}: {'; '.join(short)}."


@dataclass(frozen=True)
class Comparison:
    """Everything on a page but the pictures.

    Attributes:
        sections: One for each corpus, or set of corpora.
        apart: Groups that it would be a mistake to compare with the section of their corpus.
        notes: Folders that were skipped, each with its reason.
    """

    sections: tuple[Section, ...]
    apart: tuple[Group, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[Group, ...]:
        """Those of the sections, then those set apart."""
        return (*(section.group for section in self.sections), *self.apart)

    @property
    def stamps(self) -> tuple[str, ...]:
        """The stamps of every system, each once."""
        return tuple(dict.fromkeys(stamp for group in self.groups for stamp in group.stamps))

    @property
    def title(self) -> str:
        """``ravdess, luna5; savee, loso``."""
        return "; ".join(section.group.where for section in self.sections)

    @property
    def systems(self) -> tuple[str, ...]:
        """Names of the systems in any section: first those in the most sections, of these the highest mean score."""
        scores: dict[str, list[float]] = {}
        for section in self.sections:
            for row in section.group.rows:
                scores.setdefault(row.system, []).append(row.score)
        return tuple(sorted(scores, key=lambda name: (-len(scores[name]), -sum(scores[name]) / len(scores[name]))))

    def row(self, system: str, section: Section) -> Row | None:
        """Return the scores of a system in a section; ``None`` where it has none."""
        return next((row for row in section.group.rows if row.system == system), None)


def folds_in_words(numbers: Sequence[int]) -> str:
    """Return ``folds 0 to 4``, or ``folds 0, 2`` where some between them are missing."""
    if len(numbers) == 1:
        return f"fold {numbers[0]}"
    if len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"folds {numbers[0]} to {numbers[-1]}"
    return "folds " + ", ".join(map(str, numbers))
