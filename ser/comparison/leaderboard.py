"""A leaderboard of runs: systems that can be compared share a section; the others are set apart, with the reason.

Systems (`ser.comparison.systems`) can be compared where they have the same recordings (fingerprint), labels and splits.
The largest such group of a corpus is its section: the most systems, then the most folds, then the first found.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.comparison import page
from ser.comparison import plots as comparison_plots
from ser.comparison import tables as comparison_tables
from ser.comparison.pairs import Tables, pairs_of
from ser.comparison.report import Report
from ser.comparison.rows import Comparison, Group, Row, Section, folds_in_words
from ser.comparison.systems import Pooled, find_with_tables, join_folds, names
from ser.errors import ConfigError
from ser.evaluation import metrics, predictions
from ser.evaluation.beyond import ece_of_sums, ece_sums
from ser.evaluation.calibration import ece
from ser.evaluation.intervals import Bounds, Interval, Statistic, speaker_interval
from ser.evaluation.measure import Measure, measure_of
from ser.evaluation.seeds import seed_and_speaker_interval
from ser.evaluation.selective import aurc
from ser.protocols.stamps import ADAPTED, CORPUS_ADAPTED, KNOWING, SEEN, SEEN_UNKNOWN
from ser.report.guesses import highest
from ser.runtime.files import write_text

KNOWING_IN_WORDS = {
    ADAPTED: "adapted to unlabelled recordings of its test speakers",
    CORPUS_ADAPTED: "adapted to the unlabelled test recordings of each corpus",
    SEEN: "trained on recordings of the corpus that tests it",
    SEEN_UNKNOWN: "perhaps trained on recordings of the corpus that tests it",
}
UNKNOWING_IN_WORDS = {
    **dict.fromkeys((ADAPTED, CORPUS_ADAPTED), "not adapted to test recordings"),
    **dict.fromkeys((SEEN, SEEN_UNKNOWN), "not trained on recordings of the corpus that tests it"),
}
"""By what the others knew."""


class Leaderboard(Report):
    """The report of every sweep that names no other: the tables, pictures and page of ``python -m ser.compare``."""

    def write(self, folder: Path, runs: Sequence[Path]) -> None:
        """Write them into ``comparison`` beside the runs, and print the tables."""
        compare(runs, out=folder / "comparison")


def compare(
    folders: Sequence[Path], baseline: str | None = None, out: Path | None = None, equivalent: float | None = None
) -> Path:
    """Compare the runs in and below some folders: print the tables; write them, the pictures and the page.

    Args:
        folders: Folders of runs, or with runs below them; and tables of predictions, see `ser.comparison.elsewhere`.
        baseline: See `rank_systems`.
        out: Where to write; ``compare-<date>-<time>`` by default.
        equivalent: See `rank_systems`.

    Returns:
        The folder written to, with ``comparison.csv``, ``.md``, ``.tex``, ``.html`` and ``pictures/<corpora>/``; and with
        ``pairs.csv`` where systems were tested against each other.

    Raises:
        SerError: What the user can fix, in words.
    """
    from rich.console import Console

    out = out or Path(f"compare-{datetime.now():%Y%m%d-%H%M%S}")
    comparison, tables = rank_systems(*find_with_tables(folders, out / "elsewhere"), baseline, equivalent)
    write_text(comparison_tables.frame(comparison).to_csv(index=False), out / "comparison.csv")
    (out / "pairs.csv").unlink(missing_ok=True)  # of an earlier comparison
    if any(section.pairs for section in comparison.sections):
        write_text(comparison_tables.frame_of_pairs(comparison).to_csv(index=False), out / "pairs.csv")
    write_text(comparison_tables.markdown(comparison), out / "comparison.md")
    write_text(comparison_tables.latex(comparison), out / "comparison.tex")
    drawn = [
        comparison_plots.draw_section(section, its, out / "pictures" / section.group.anchor)
        for section, its in zip(comparison.sections, tables, strict=True)
    ]
    page.write_page(comparison, drawn, out / "comparison.html")
    console = Console()
    console.print(comparison_tables.terminal(comparison))
    files = [*out.glob("pairs.csv"), *out.glob("comparison.*")]
    for file in [out / "pictures", *sorted(files, key=lambda file: (file.suffix == ".html", file))]:
        console.print(str(file), highlight=False, markup=False, soft_wrap=True)
    return out


def rank_systems(
    runs: Sequence[Pooled],
    notes: Sequence[str] = (),
    baseline: str | None = None,
    equivalent: float | None = None,
) -> tuple[Comparison, list[Tables]]:
    """Group runs into systems, and systems into what can be compared; score and test them.

    Args:
        runs: See `ser.comparison.systems.find`.
        notes: On what was skipped; more are added to them.
        baseline: A system to test the others against, in each section that has it; by default the one with the fewest
            parameters.
        equivalent: Points of UAR (hundredths of CCC) within which systems are tested for being equal, too.

    Returns:
        The comparison, and the predictions of the systems of each of its sections.

    Raises:
        ConfigError: If the baseline is not a system of any section, or ``equivalent`` is out of range.
    """
    if equivalent is not None and not 0 < equivalent < 100:
        raise ConfigError(
            f"--equivalent must be above 0 and below 100 points; got {equivalent:g}. Choose a difference too small to matter."
        )
    margin = None if equivalent is None else equivalent / 100
    pooled, repeated = join_folds(runs)
    systems = list(dict.fromkeys(run.system for run in pooled))
    named = dict(zip(systems, names([json.loads(system) for system in systems]), strict=True))
    corpora: dict[str, dict[Any, list[Pooled]]] = defaultdict(lambda: defaultdict(list))
    for run in pooled:
        corpora[run.corpora][run.data, frozenset(run.splits.values()), _knew(run)].append(run)
    sections, tables, apart = [], [], []
    for _, groups in sorted(corpora.items()):
        first, *others = sorted(groups.values(), key=_size)
        group, its = _group(first, named)
        chosen, why = _baseline(group, baseline)
        sections.append(Section(group, group.rows[0].system, chosen, why, pairs_of(group, its, chosen, margin)))
        tables.append(its)
        apart += [replace(_group(other, named)[0], apart=_reason(other[0], first[0])) for other in others]
    comparison = Comparison(tuple(sections), tuple(apart), (*notes, *repeated))
    if baseline is not None and baseline not in comparison.systems:
        known = ", ".join(f'"{system}"' for system in comparison.systems)
        raise ConfigError(f'--baseline must be a system of the tables; got "{baseline}". Choose one of: {known}.')
    return comparison, tables


def score_system(system: str, seeds: Sequence[Pooled]) -> Row:
    """Score a system from the predictions of its seeds."""
    tables = [run.table for run in seeds]
    measure = measure_of(tables[0])
    by_speaker = np.stack([measure.by_speaker(table)[1] for table in tables])  # (seed, speaker, class, class)
    several = len(tables) > 1
    interval = _interval(by_speaker, measure.statistic, measure.bounds)
    pooled = by_speaker.sum(axis=1)
    each = [[measure.by_speaker(part)[1].sum(axis=0) for _, part in table.groupby("fold")] for table in tables]
    fold_scores = measure.statistic(np.array(each)).mean(axis=0)  # (fold,)
    seed_scores = measure.statistic(pooled)
    others = {key: float(score(pooled).mean()) for key, score in measure.scores.items() if key != measure.key}
    parameters = [run.parameters for run in seeds if run.parameters is not None]
    return Row(
        system=system,
        score=float(seed_scores.mean()),
        low=interval.low,
        high=interval.high,
        caution=interval.caution,
        mean=float(fold_scores.mean()),
        sd=float(fold_scores.std(ddof=1)) if len(fold_scores) > 1 else None,
        seed_sd=float(seed_scores.std(ddof=1)) if several else None,
        others=others if measure.numeric else others | _of_probabilities(tables),
        parameters=parameters[0] if parameters else None,
        train_seconds=float(np.mean([run.seconds for run in seeds])),
        seeds=tuple(int(run.about["seed"]) for run in seeds),
        folds=tuple(sorted(seeds[0].splits)),
        utterances=len(tables[0]),
        speakers=int(tables[0]["speaker"].nunique()),
        stamps=tuple(dict.fromkeys(stamp for run in seeds for stamp in run.about["stamps"])),
        runs=tuple(str(run.path) for seed in seeds for run in seed.runs),
        measure=measure,
        bounds=_bounds(tables, by_speaker, measure),
    )


def _interval(sums: np.ndarray, statistic: Statistic, bounds: Bounds = (0.0, 1.0)) -> Interval:
    """Return the interval of the mean over seeds of a score of sums over speakers, ``(seed, speaker, ...)``."""
    if len(sums) > 1:
        return seed_and_speaker_interval(sums, statistic, bounds=bounds)
    return speaker_interval(sums[0], statistic, bounds=bounds)


def _bounds(
    tables: Sequence[pd.DataFrame], sums: np.ndarray, measure: Measure
) -> dict[str, tuple[float | None, float | None]]:
    """Return the intervals of the scores besides the main one that tables show."""
    keys = [key for key in measure.scores if key != measure.key]
    found = {key: _interval(sums, measure.scores[key], measure.bounds_of(key)) for key in keys}
    if not measure.numeric:
        certain = [
            (predictions.probabilities(table), predictions.target_indices(table), table["speaker"].to_numpy())
            for table in tables
        ]
        found["ece"] = _interval(np.stack([ece_sums(*each) for each in certain]), ece_of_sums)
    return {key: (interval.low, interval.high) for key, interval in found.items()}


def _of_probabilities(tables: Sequence[pd.DataFrame]) -> dict[str, float]:
    """Return the scores that need more than the predicted class, as the mean over seeds."""
    certain = [(predictions.probabilities(table), predictions.target_indices(table)) for table in tables]
    scores = {"cross_entropy": metrics.cross_entropy, "ece": ece, "aurc": aurc}
    return {key: float(np.mean([score(*each) for each in certain])) for key, score in scores.items()}


def _group(runs: Sequence[Pooled], named: Mapping[str, str]) -> tuple[Group, Tables]:
    """Score the systems of comparable runs, best first; a number tells apart systems of the same name."""
    systems: dict[str, list[Pooled]] = {}
    for system in dict.fromkeys(run.system for run in runs):
        same = sum(name.partition(" #")[0] == named[system] for name in systems)
        seeds = sorted((run for run in runs if run.system == system), key=lambda run: int(run.about["seed"]))
        systems[f"{named[system]} #{same + 1}" if same else named[system]] = seeds
    rows = sorted((score_system(name, seeds) for name, seeds in systems.items()), key=lambda row: -row.score)
    first = runs[0]
    group = Group(
        rows=tuple(rows),
        corpora=tuple(first.about["corpora"]),
        protocol=first.about["protocol"],
        labels=first.about["labels"],
        classes=predictions.classes(first.table),
        split_hashes=tuple(first.splits[fold] for fold in sorted(first.splits)),
        fingerprint=first.about["fingerprint"],
        data=first.corpora,
        guess=highest(first.about),
    )
    return group, {row.system: [run.table for run in systems[row.system]] for row in rows}


def _size(runs: Sequence[Pooled]) -> tuple[int, str, int]:
    """Sort the largest group of a corpus first."""
    return -len({run.system for run in runs}), _knew(runs[0]), -len(runs[0].splits)


def _reason(other: Pooled, main: Pooled) -> str:
    """Return why runs cannot be compared with those of the section of the same corpora, in words."""
    reasons = []
    if other.about["labels"] != main.about["labels"]:
        reasons.append(f"other labels: {other.about['labels']} against {main.about['labels']}")
    if other.about["fingerprint"] != main.about["fingerprint"]:
        prints = f"{other.about['fingerprint']} against {main.about['fingerprint']}"
        reasons.append(f"other recordings or audio settings: fingerprint {prints}")
    if (one := _knew(other)) != (two := _knew(main)):
        reasons.append(KNOWING_IN_WORDS[one] if one else UNKNOWING_IN_WORDS[two])
    here, there = {*other.splits.values()}, {*main.splits.values()}
    if here < there:
        reasons.append(f"{folds_in_words(sorted(other.splits))} only, of {folds_in_words(sorted(main.splits))}")
    elif other.about["protocol"] != main.about["protocol"]:
        reasons.append(f"other split: {other.about['protocol']} against {main.about['protocol']}")
    elif here != there and not reasons:
        reasons.append("other splits of the same protocol")
    return "; ".join(reasons) or "other classes"


def _knew(run: Pooled) -> str:
    """Return the stamp of a run that knew, or may have known, test recordings; empty for others."""
    stamps = run.about["stamps"]
    return next((words for words in KNOWING if any(stamp.startswith(words) for stamp in stamps)), "")


def _baseline(group: Group, asked: str | None) -> tuple[str, str]:
    """Choose what the others are tested against, and say why."""
    systems = [row.system for row in group.rows]
    if asked in systems:
        return str(asked), "as asked"
    known = [(row.parameters, row.system) for row in group.rows if row.parameters is not None]
    if known:
        return min(known)[1], "the fewest parameters"
    return systems[-1], f"the lowest {group.measure.name}, as no metrics.json has the parameters"
