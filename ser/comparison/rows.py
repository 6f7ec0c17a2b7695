"""A comparison of systems: its rows, groups and tests, and what each of them is in words and figures.

How they come about is in `ser.comparison.leaderboard`; `comparison_tables`, `comparison_plots` and `page` show them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ser.evaluation.comparison import SIGNIFICANT
from ser.report.format import MINUS, UNDEFINED, duration, p_value, percent, probability, with_interval
from ser.runtime.words import and_more

HASHES_SHOWN = 6
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Row:
    """A system's scores, each between 0 and 1.

    Attributes:
        system: Its name.
        uar, low, high: Pooled UAR (the mean over seeds) and its 95 % interval; see `ser.comparison.leaderboard`.
        caution: What a reader must know before trusting the interval, or ``None``.
        uar_mean, uar_sd: Mean and standard deviation (n - 1) of the UARs of all folds of all seeds.
        accuracy, macro_f1, cross_entropy, ece, aurc: Pooled; the mean over seeds.
        parameters: Of one model; ``None`` where no metrics.json says.
        train_seconds: Of all folds of one seed.
        stamps: What nobody may overlook.
        runs: Folders.
    """

    system: str
    uar: float
    low: float | None
    high: float | None
    caution: str | None
    uar_mean: float
    uar_sd: float | None
    accuracy: float
    macro_f1: float
    cross_entropy: float
    ece: float
    aurc: float
    parameters: int | None
    train_seconds: float | None
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    utterances: int
    speakers: int
    stamps: tuple[str, ...]
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """A paired test: ``one`` minus ``other`` in pooled UAR, on the same utterances of the same speakers."""

    one: str
    other: str
    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float
    caution: str | None


@dataclass(frozen=True)
class Group:
    """Systems scored on the same utterances, best first; ``apart`` says why they are not in the main table."""

    rows: tuple[Row, ...]
    corpora: tuple[str, ...]
    protocol: str
    labels: str
    classes: tuple[str, ...]
    split_hashes: tuple[str, ...]
    fingerprint: str
    apart: str = ""

    @property
    def title(self) -> str:
        """``ravdess, luna5: cnn, transformer``."""
        return f"{self.where}: {', '.join(row.system for row in self.rows)}"

    @property
    def where(self) -> str:
        """``ravdess, luna5``."""
        return f"{'+'.join(self.corpora)}, {self.protocol}"

    @property
    def stamps(self) -> tuple[str, ...]:
        """Of any of its rows, each once."""
        return tuple(dict.fromkeys(stamp for row in self.rows for stamp in row.stamps))

    @property
    def facts(self) -> dict[str, str]:
        """On what the systems were scored, in words."""
        first, hashes = self.rows[0], self.split_hashes
        return {
            "corpora": " + ".join(self.corpora),
            "protocol": f"{self.protocol}, {folds_in_words(first.folds)}",
            "scored": f"{first.utterances} utterances of {first.speakers} speakers",
            "labels": f"{self.labels} ({', '.join(self.classes)})",
            "fingerprint": self.fingerprint,
            "split hash": and_more(hashes, HASHES_SHOWN),
        }


@dataclass(frozen=True)
class Comparison:
    """Everything that a page shows but the pictures.

    Attributes:
        main: The largest group of comparable systems.
        best, baseline: Names of the systems that the others are tested against.
        baseline_reason: Why that one.
        pairs: The tests, in the order of the rows.
        apart: The other groups.
        notes: Folders that were passed over, each with its reason.
    """

    main: Group
    best: str
    baseline: str
    baseline_reason: str
    pairs: tuple[Pair, ...]
    apart: tuple[Group, ...]
    notes: tuple[str, ...]

    @property
    def stamps(self) -> tuple[str, ...]:
        """Of any system on the page, each once."""
        return tuple(dict.fromkeys(stamp for group in (self.main, *self.apart) for stamp in group.stamps))

    @property
    def cautions(self) -> tuple[str, ...]:
        """What to know before trusting an interval or a test, each once."""
        here = [row.caution for row in self.main.rows] + [pair.caution for pair in self.pairs]
        apart = [(group, row.caution) for group in self.apart for row in group.rows]
        elsewhere = [
            f"set apart, {group.where}: {caution}" for group, caution in apart if caution and caution not in here
        ]
        return tuple(dict.fromkeys(caution for caution in (*here, *elsewhere) if caution))

    @property
    def headline(self) -> str:
        """The result in a sentence or two, no stronger than the tests allow."""
        best = self.main.rows[0]
        text = f"{best.system} has a UAR of {with_interval(best.uar, best.low, best.high, ' %')}"
        if not self.pairs:
            return f"{text}; there is no other system to hold it against."
        pair = self.pairs[0]
        lead = f"{with_interval(pair.difference, pair.low, pair.high, ' points')}, {p_value(pair.p_holm)} after Holm"
        verdict = "" if pair.p_holm < SIGNIFICANT else f": too little to tell the two apart on {best.speakers} speakers"
        return f"{text}, the highest. Its lead over {pair.other}, the next, is {lead}{verdict}."


COLUMNS: dict[str, Callable[[Row], str]] = {
    "UAR % [95 %]": lambda row: with_interval(row.uar, row.low, row.high),
    "mean ± sd": lambda row: f"{percent(row.uar_mean, '')} ± {percent(row.uar_sd, '')}",
    "accuracy": lambda row: percent(row.accuracy, ""),
    "macro F1": lambda row: percent(row.macro_f1, ""),
    "ECE": lambda row: percent(row.ece, ""),
    "params": lambda row: _size(row.parameters),
    "training": lambda row: duration(row.train_seconds),
    f"seeds {TIMES} folds": lambda row: f"{len(row.seeds)} {TIMES} {len(row.folds)}",
}
PAIR_COLUMNS: dict[str, Callable[[Pair], str]] = {
    "difference [95 %]": lambda pair: with_interval(pair.difference, pair.low, pair.high, signed=True),
    "p": lambda pair: probability(pair.p),
    "p (Holm)": lambda pair: probability(pair.p_holm),
}
READING = (
    "UAR is pooled over folds and averaged over seeds; its interval speaks of other speakers"
    " (and other seeds, where there are several). Mean ± sd is over folds and seeds.",
    "A difference is tested on the same speakers; Holm's p allows for all the tests of the table.",
)


def _size(parameters: int | None) -> str:
    if parameters is None:
        return UNDEFINED
    return f"{parameters / 1e6:.2f} M" if parameters >= 1e6 else f"{parameters / 1e3:.0f} k"


def folds_in_words(numbers: Sequence[int]) -> str:
    """``folds 0 to 4``, or ``folds 0, 2`` where some between are not there."""
    if len(numbers) == 1:
        return f"fold {numbers[0]}"
    whole = list(numbers) == list(range(numbers[0], numbers[-1] + 1))
    return (
        f"folds {numbers[0]} to {numbers[-1]}"
        if whole and len(numbers) > 2
        else "folds " + ", ".join(map(str, numbers))
    )


def where(group: Group) -> str:
    """Corpora, protocol, folds and size on a line."""
    return f"{'+'.join(group.corpora)}, {group.facts['protocol']}, {group.facts['scored']}"


def stamped_name(row: Row) -> str:
    """A system with its stamps."""
    return row.system + "".join(f" [{stamp.upper()}]" for stamp in row.stamps)


def row_cells(group: Group) -> list[tuple[str, ...]]:
    """A group's rows as text: the system, then `COLUMNS`."""
    return [(stamped_name(row), *(text(row) for text in COLUMNS.values())) for row in group.rows]


def pair_cells(pairs: Sequence[Pair]) -> list[tuple[str, ...]]:
    """Tests as text: the pair, then `PAIR_COLUMNS`."""
    return [(f"{pair.one} {MINUS} {pair.other}", *(text(pair) for text in PAIR_COLUMNS.values())) for pair in pairs]


def what_is_tested(comparison: Comparison) -> str:
    """What the paired tests are of."""
    best, baseline, why = comparison.best, comparison.baseline, comparison.baseline_reason
    sides = f"which is the baseline too ({why})" if baseline == best else f"and to the baseline, {baseline} ({why})"
    return f"Differences in UAR (points) to the best, {best}, {sides}"
