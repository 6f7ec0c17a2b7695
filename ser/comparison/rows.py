"""A comparison of systems: its rows, groups, tests and sections, and how each of them reads in words and figures.

`ser.comparison.leaderboard` makes them; `ser.comparison.tables`, `plots` and `page` show them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ser.evaluation.comparison import SIGNIFICANT
from ser.evaluation.measure import CLASSES, Measure
from ser.protocols.stamps import speakers_in_words
from ser.report.format import MINUS, UNDEFINED, duration, p_value, percent, probability, with_interval, writer
from ser.report.guesses import is_beaten, source_of
from ser.runs.identity import safe
from ser.runtime.help_page import protocol_summary
from ser.runtime.words import and_more, counted

HASHES_SHOWN = 6
OF_WEIGHTS = "of these weights, not of the methods"
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Row:
    """A system's scores.

    Attributes:
        score, low, high: The pooled main score, UAR or CCC (the mean over seeds), and its 95 % interval over speakers.
        caution: What a reader must know before trusting the interval, or ``None``.
        mean, sd: Mean and standard deviation (n - 1) over folds of the main score, each fold's the mean over seeds.
        seed_sd: Standard deviation (n - 1) over seeds of the pooled main score; ``None`` with one seed.
        others: Further scores by their keys, pooled; the mean over seeds.
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

    def flat(self) -> dict[str, Any]:
        """Return the row under the names that ``comparison.csv`` has for its columns."""
        key, found = self.measure.key, {field.name: getattr(self, field.name) for field in fields(self)}
        del found["measure"]
        names = {"score": key, "mean": f"{key}_mean", "sd": f"{key}_sd", "seed_sd": f"{key}_seed_sd"}
        flat: dict[str, Any] = {}
        for name, value in found.items():
            flat |= value if name == "others" else {names.get(name, name): value}
        return flat


@dataclass(frozen=True)
class Pair:
    """A paired test: ``one`` minus ``other`` in the pooled main score, on the same utterances of the same speakers.

    Attributes:
        of_methods: See `ser.evaluation.comparison.Paired`.
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
        lead += f", {p_value(pair.p_holm)} after Holm{'' if pair.of_methods else f', {OF_WEIGHTS}'}"
        speakers = speakers_in_words(best.stamps, best.speakers)
        verdict = "" if pair.p_holm < SIGNIFICANT else f": too little to tell the two apart on {speakers}"
        return f"{text}, the highest. Its lead over {pair.other}, the next, is {lead}{verdict}.{beaten}"

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


Columns = dict[str, Callable[[Row], str]]


def main_score(row: Row) -> str:
    """Return the main score of a system with its interval."""
    return with_interval(row.score, row.low, row.high, write=writer(row.measure))


def columns(group: Group) -> Columns:
    """Return the columns of a group's table that any row has, and how a row is written in each."""
    measure = group.measure
    write, names = writer(measure), {**measure.names, **({} if measure.numeric else {"ece": "ECE"})}
    del names[measure.key]

    def other(key: str) -> Callable[[Row], str]:
        return lambda row: write(row.others[key], "")

    written: Columns = {
        f"{measure.name}{'' if measure.numeric else ' %'} [95 %]": main_score,
        "folds: mean ± sd": lambda row: f"{write(row.mean, '')} ± {write(row.sd, '')}",
        "seeds: sd": lambda row: write(row.seed_sd, ""),
        **{name: other(key) for key, name in names.items()},
        "params": lambda row: _size(row.parameters),
        "training": lambda row: duration(row.train_seconds),
        f"seeds {TIMES} folds": lambda row: f"{len(row.seeds)} {TIMES} {len(row.folds)}",
    }
    return {name: text for name, text in written.items() if any(text(row) != UNDEFINED for row in group.rows)}


PAIR_COLUMNS: dict[str, Callable[[Pair], str]] = {
    "difference [95 %]": lambda pair: with_interval(
        pair.difference, pair.low, pair.high, signed=True, write=writer(pair.measure)
    ),
    "p": lambda pair: probability(pair.p),
    "p (Holm)": lambda pair: probability(pair.p_holm),
    "of": lambda pair: "methods" if pair.of_methods else "weights",
}
SPREAD = (
    "with its 95 % interval over speakers (and seeds, where there are several). Folds: mean and sd of the folds' scores, each"
    " the mean over seeds. Seeds: sd of the pooled score from seed to seed."
)
OF_TESTS = (
    "on the same utterances, paired by speaker; p (Holm) corrects for all tests of the table. Of methods: two seeds or more"
    " on both sides, a t-test over speakers and seeds. Of weights: one seed on a side, so that speakers are swapped, and the"
    f" result is {OF_WEIGHTS}: the same method trained with another seed often differs as much."
)
OF_CLASSES = (
    f"UAR: mean recall of the classes, in %, pooled over folds and averaged over seeds, {SPREAD} Macro F1: mean F1 of the"
    " classes. ECE: mean gap between confidence and accuracy, in %. Training: time for all folds of one seed.",
    f"Differences are of UAR, in points, {OF_TESTS}",
)
OF_NUMBERS = (
    "CCC: concordance of predictions and targets, the mean over the numbers, pooled over folds and averaged over seeds,"
    f" {SPREAD} Pearson's r: correlation. RMSE: root mean squared error, in the unit of the numbers. Training: time for all"
    " folds of one seed.",
    f"Differences are of CCC, {OF_TESTS}",
)


def reading(measure: Measure) -> tuple[str, str]:
    """Return how to read the scores, and the tests."""
    return OF_NUMBERS if measure.numeric else OF_CLASSES


def matrix_reading(comparison: Comparison) -> str:
    """Return how to read the table of systems and corpora."""
    names = {group.measure: group.measure.name + " in %" * (not group.measure.numeric) for group in comparison.groups}
    interval = f"{' or '.join(names.values())} with its 95 % interval over speakers."
    return f"{interval} Corpora differ in classes and chance level: compare within a column."


def _size(parameters: int | None) -> str:
    if parameters is None:
        return UNDEFINED
    return f"{parameters / 1e6:.2f} M" if parameters >= 1e6 else f"{parameters / 1e3:.0f} k"


def folds_in_words(numbers: Sequence[int]) -> str:
    """Return ``folds 0 to 4``, or ``folds 0, 2`` where some between them are missing."""
    if len(numbers) == 1:
        return f"fold {numbers[0]}"
    if len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"folds {numbers[0]} to {numbers[-1]}"
    return "folds " + ", ".join(map(str, numbers))


def where(group: Group) -> str:
    """Return corpora, protocol, folds and size on a line."""
    return f"{group.where}, {folds_in_words(group.rows[0].folds)}, {group.facts['scored']}"


def in_capitals(stamps: Sequence[str]) -> str:
    """Return stamps as they follow what they are of."""
    return "".join(f" [{stamp.upper()}]" for stamp in stamps)


def row_cells(group: Group) -> list[tuple[str, ...]]:
    """Return a group's rows as text: the system and its stamps, then its `columns`."""
    names = (row.system + in_capitals(row.stamps) for row in group.rows)
    written = columns(group).values()
    rows = [(name, *(text(row) for text in written)) for name, row in zip(names, group.rows, strict=True)]
    return [*rows, *guess_cells(group, 1 + len(written))]


def guess_cells(group: Group, columns: int) -> list[tuple[str, ...]]:
    """Return the best guess without listening as the last row of a table with so many columns; none where it is unknown."""
    if group.guess is None:
        return []
    return [(source_of(group.guess), percent(group.guess["uar"], ""), *[""] * (columns - 2))]


def pair_cells(pairs: Sequence[Pair]) -> list[tuple[str, ...]]:
    """Return tests as text: the pair, then `PAIR_COLUMNS`."""
    return [(f"{pair.one} {MINUS} {pair.other}", *(text(pair) for text in PAIR_COLUMNS.values())) for pair in pairs]


def matrix_cells(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the table of systems and corpora as text: the corpora, then each system with its score on each of them."""
    sections, groups = comparison.sections, [section.group for section in comparison.sections]
    heads = [f"{g.where} ({chance_of(g)}){in_capitals(g.stamps)}" for g in groups]
    table = [("system", *heads)]
    for name in comparison.systems:
        rows = (comparison.row(name, section) for section in sections)
        table.append((name, *(main_score(row) if row else "" for row in rows)))
    return table


def chance_of(group: Group) -> str:
    """Return the score of guessing in words."""
    return f"chance {writer(group.measure)(group.chance, '')}"


def what_is_tested(section: Section) -> str:
    """Return what the paired tests compare."""
    best, baseline, why = section.best, section.baseline, section.baseline_reason
    sides = f"which is also the baseline ({why})" if baseline == best else f"and to the baseline, {baseline} ({why})"
    measure = section.group.measure
    return f"Differences in {measure.name}{'' if measure.numeric else ' (points)'} to the best, {best}, {sides}"
