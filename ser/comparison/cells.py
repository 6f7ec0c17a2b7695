"""How the rows and the tests of a comparison read: columns, cells and what explains them, the same in every format."""

from collections.abc import Callable, Sequence

from ser.comparison.rows import OF_WEIGHTS, Comparison, Group, Pair, Row, Section, folds_in_words
from ser.evaluation.comparison import SIGNIFICANT
from ser.evaluation.measure import Measure
from ser.report.format import MINUS, UNDEFINED, duration, percent, probability, with_interval, writer
from ser.report.guesses import source_of

TIMES = "\N{MULTIPLICATION SIGN}"
WITHIN = "equal within"
NOT_SHOWN = "not shown"
WITH_SENTENCES = "p with sentences"
Columns = dict[str, Callable[[Row], str]]
PairColumns = dict[str, Callable[[Pair], str]]


def main_score(row: Row) -> str:
    """Return the main score of a system with its interval."""
    return with_interval(row.score, row.low, row.high, write=writer(row.measure))


def columns(group: Group, *, narrow: bool = False) -> Columns:
    """Return the columns of a group's table that any row has, and how a row is written in each.

    Args:
        group: The group.
        narrow: Whether only the main score has room for its interval.
    """
    measure = group.measure
    write, names = writer(measure), {**measure.names, **({} if measure.numeric else {"ece": "ECE"})}
    del names[measure.key]

    def other(key: str) -> Callable[[Row], str]:
        if narrow:
            return lambda row: write(row.others[key], "")
        return lambda row: with_interval(row.others[key], *row.bounds.get(key, (None, None)), write=write)

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


def pair_columns(pairs: Sequence[Pair]) -> PairColumns:
    """Return the columns of a table of tests that any of them has, and how a test is written in each."""
    margin = next((pair.margin for pair in pairs if pair.margin), "")
    written: PairColumns = {
        "difference [95 %]": lambda pair: with_interval(
            pair.difference, pair.low, pair.high, signed=True, write=writer(pair.measure)
        ),
        "p": lambda pair: probability(pair.p),
        "p (Holm)": lambda pair: probability(pair.p_holm),
        "of": lambda pair: "methods" if pair.of_methods else "weights",
    }
    written |= {f"{WITHIN} {margin}": _equal} if margin else {}
    return written | ({WITH_SENTENCES: _with_sentences} if any(map(_has_opinion, pairs)) else {})


def _equal(pair: Pair) -> str:
    if pair.equality is None or pair.equality.p_holm is None:
        return UNDEFINED
    return f"{'yes' if pair.equality.is_shown else NOT_SHOWN} {probability(pair.equality.p_holm)}"


def _with_sentences(pair: Pair) -> str:
    return UNDEFINED if pair.opinion is None or pair.opinion.p_holm is None else probability(pair.opinion.p_holm)


def _has_opinion(pair: Pair) -> bool:
    return pair.opinion is not None and pair.opinion.p_holm is not None


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


def more_on_tests(section: Section) -> tuple[str, ...]:
    """Return how to read what was asked for besides the difference, a sentence or two each."""
    lines = []
    if margin := next((pair.margin for pair in section.pairs if pair.margin), ""):
        lines.append(
            f"{WITHIN.capitalize()} {margin}: two one-sided tests with the variance of the difference, and p after Holm; yes:"
            f" below {SIGNIFICANT}. {NOT_SHOWN.capitalize()}: they may differ by more, or do: see the interval of the"
            " difference. A difference can be significant and yet within the margin."
        )
    if any(map(_has_opinion, section.pairs)):
        lines.append(
            f"{WITH_SENTENCES.capitalize()}: a second opinion on the same difference, which allows for other sentences, too,"
            " after Holm. It does not decide; p (Holm) does."
        )
    if missing := dict.fromkeys(pair.opinion.why for pair in section.pairs if pair.opinion and pair.opinion.why):
        lines.append(f"No second opinion that allows for sentences: {'; '.join(map(str, missing))}.")
    return tuple(lines)


def matrix_reading(comparison: Comparison) -> str:
    """Return how to read the table of systems and corpora."""
    names = {group.measure: group.measure.name + " in %" * (not group.measure.numeric) for group in comparison.groups}
    interval = f"{' or '.join(names.values())} with its 95 % interval over speakers."
    return f"{interval} Corpora differ in classes and chance level: compare within a column."


def _size(parameters: int | None) -> str:
    if parameters is None:
        return UNDEFINED
    return f"{parameters / 1e6:.2f} M" if parameters >= 1e6 else f"{parameters / 1e3:.0f} k"


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
    """Return tests as text: the pair, then its `pair_columns`."""
    written = pair_columns(pairs).values()
    return [(f"{pair.one} {MINUS} {pair.other}", *(text(pair) for text in written)) for pair in pairs]


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
