"""How much a leak raises the score: one model under protocols that share speakers, sentences, both or neither with training.

Every protocol tests each utterance of a corpus once, so two protocols are compared on the same utterances, speaker by
speaker, and they differ only in the training data. ``random_matched`` has as many training clips as ``speaker_cv``. The two
text-independent protocols have fewer, since clips of the test sentences leave training and nothing can take their place; the
table says how many. The number of training speakers cannot be matched either: to share them is the leak.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich.table import Table

from ser.comparison.leaderboard import score_system
from ser.comparison.report import Report, draw_score, present
from ser.comparison.systems import Pooled
from ser.evaluation import metrics, predictions
from ser.evaluation.comparison import paired
from ser.evaluation.measure import refuse_numbers
from ser.protocols.stamps import SPEAKER_DEPENDENT
from ser.report.drawing import STAMP_COLOUR, drawing
from ser.report.format import UNDEFINED, interval, percent, probability, with_interval
from ser.report.tables import simple_table
from ser.runs.folder import RunFolder
from ser.runs.identity import model_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HONEST = "speaker_cv"
"""The protocol that the others are compared with."""
NAMES = {
    "random_matched": "random\n(same speakers,\nsame sentences)",
    "random": "random, own\nfold sizes\n(same speakers,\nsame sentences)",
    "text_independent": "text-\nindependent\n(same speakers)",
    "speaker_cv": "speaker-\nindependent\n(same sentences)",
    "speaker_text_independent": "speaker- and\ntext-\nindependent",
}
"""From the widest leak to none, with the names on the picture."""
READING = (
    "UAR is the mean recall of the classes. Bars: 95 % interval over speakers, dotted where they are too few to conclude; "
    "ticks: the worst and the best speaker"
)
HEADINGS = ("corpus", "protocol", "training clips", "seeds", "UAR", "95 % interval", f"minus {HONEST}", "p")


class Leakage(Report):
    """The report of ``experiment=leakage``."""

    def write(self, folder: Path, runs: Sequence[Path]) -> None:
        """Write ``leakage.csv``, ``leakage.md`` and ``leakage.png`` beside the runs, and print the table."""
        rows = leaks(runs)
        lines = [HEADINGS, *_cells(rows, f" (**{SPEAKER_DEPENDENT}**)")]
        present(rows, folder / "leakage", lines, leakage_table(rows), leakage_plot)


def leaks(folders: Sequence[Path]) -> pd.DataFrame:
    """Score each corpus under each protocol.

    Returns:
        One row a corpus and protocol: ``corpus``, ``model``, ``protocol``, ``folds``, ``seeds``, ``training`` (clips
        that train a fold, the mean), ``speakers``, ``classes``, ``uar`` (the mean over seeds), ``low``, ``high``,
        ``sd`` (over folds and seeds), ``accuracy``; ``worst`` and ``best``, the UARs of single speakers; ``gain``,
        ``gain_low``, ``gain_high``, ``p``: the difference of UAR from ``speaker_cv`` on the same utterances, paired by
        speaker; ``caution``; ``stamps``.
    """
    runs: dict[tuple[str, str, str], list[RunFolder]] = defaultdict(list)
    for run in (RunFolder(folder) for folder in sorted(folders, key=lambda folder: folder.name)):
        refuse_numbers(run.metrics, "experiment=leakage")
        runs["+".join(run.about["corpora"]), model_name(run.config["model"]), run.about["protocol"]].append(run)
    rows = []
    for (corpus, model, protocol), seeds in runs.items():
        scored = score_system(protocol, [Pooled((run,)) for run in seeds])
        each = np.mean([metrics.uar(predictions.confusion_by_speaker(run.predictions)[1]) for run in seeds], axis=0)
        row = {"corpus": corpus, "model": model, "protocol": protocol, "folds": len(scored.folds), "seeds": len(seeds)}
        row |= {"training": _training_clips(seeds[0]), "speakers": scored.speakers}
        row |= {"classes": len(predictions.classes(seeds[0].predictions)), "uar": scored.score}
        row |= {"low": scored.low, "high": scored.high, "sd": scored.sd, "accuracy": scored.others["accuracy"]}
        row |= {"worst": float(each.min()), "best": float(each.max())}
        row |= {"caution": scored.caution, "stamps": "; ".join(scored.stamps)}
        honest = runs.get((corpus, model, HONEST))
        if honest is not None and protocol != HONEST:
            one, other = ([run.predictions.assign(fold=0) for run in side] for side in (seeds, honest))
            test = paired(one, other)
            row |= {"gain": test.difference, "gain_low": test.interval.low, "gain_high": test.interval.high}
            row |= {"p": test.p_value}
        rows.append(row)
    order = list(NAMES)
    rows.sort(key=lambda row: (row["corpus"], row["model"], [*order, row["protocol"]].index(row["protocol"])))
    return pd.DataFrame(rows)


def _training_clips(run: RunFolder) -> float | None:
    """Return how many clips train a fold, the mean; ``None`` where the run has no file of splits."""
    folds = run.split_file.get("folds")
    return float(np.mean([len(fold["train"]) for fold in folds])) if folds else None


def leakage_table(rows: pd.DataFrame) -> Table:
    """Lay out the rows of `leaks` for the terminal."""
    several = set(rows["seeds"]) != {1}
    names = "corpus", "protocol", "training\nclips", *(["seeds"] * several), "UAR\n[95 %]", f"minus\n{HONEST}", "p"
    table = simple_table("What a leak buys: UAR in %", *names, left=2, no_wrap=True)
    for cells, stamps in zip(_cells(rows), rows["stamps"], strict=True):
        corpus, protocol, clips, seeds, score, ends, gain, p = cells
        scored = f"{score}\n{ends}", gain.replace(" [", "\n["), p
        table.add_row(
            corpus, protocol, clips, *([seeds] * several), *scored, style="red" if SPEAKER_DEPENDENT in stamps else ""
        )
    table.caption = (
        f"Red: {SPEAKER_DEPENDENT}. Differences are paired on the same utterances, by speaker. Training clips: of a fold, "
        "the mean; text-independent protocols lose those of the test sentences. Several seeds: the mean, with its interval "
        "over speakers and seeds."
    )
    return table


def leakage_plot(rows: pd.DataFrame, path: Path) -> None:
    """Draw the UAR and interval of each protocol, a panel a corpus; red is not speaker-independent."""
    import seaborn as sns

    corpora = list(dict.fromkeys(rows["corpus"]))
    shown = [name for name in NAMES if name in set(rows["protocol"])]
    blue = sns.color_palette("colorblind")[0]
    width = 1.15 * len(shown) * len(corpora) + 1.0
    with drawing(path, (width, 4.7), grid=True) as figure:
        panels = figure.subplots(1, len(corpora), sharey=True, squeeze=False)[0]
        for axes, corpus in zip(panels, corpora, strict=True):
            part = rows[rows["corpus"] == corpus]
            chance = 100 / int(part["classes"].iloc[0])
            axes.axhline(chance, color="0.5", linestyle=(0, (4, 3)), linewidth=1)
            axes.text(len(shown) - 0.45, chance + 1, "chance", color="0.4", fontsize=9, horizontalalignment="right")
            for at, name in enumerate(shown):
                for row in part[part["protocol"] == name].to_dict("records"):
                    colour = STAMP_COLOUR if SPEAKER_DEPENDENT in row["stamps"] else blue
                    _draw(axes, at, row, colour)
            speakers = int(part["speakers"].max())
            axes.set_title(f"{corpus}: {speakers} speakers, {int(part['classes'].iloc[0])} classes", fontsize=11)
            axes.set_xticks(range(len(shown)), [NAMES[name] for name in shown], fontsize=8.5)
            axes.set(xlim=(-0.5, len(shown) - 0.4), ylim=(0, 104))
            axes.grid(visible=False, axis="x")
        panels[0].set_ylabel("UAR (%)")
        figure.supxlabel(fill(READING, int(14 * width)), fontsize=9, color="0.35")
        model = ", ".join(dict.fromkeys(rows["model"]))
        figure.suptitle(f"What a leak buys ({model}): red is {SPEAKER_DEPENDENT}", fontsize=12, fontweight="bold")


def _draw(axes: "Axes", at: int, row: Mapping[str, Any], colour: Any) -> None:
    for end in ("worst", "best"):
        axes.plot(at - 0.16, 100 * row[end], "_", color=colour, markersize=9, markeredgewidth=1.6)
    draw_score(axes, at, row, "uar", colour, beside=0.12)


def _cells(rows: pd.DataFrame, mark: str = "") -> list[list[str]]:
    """Return the rows as text under `HEADINGS`, with a mark behind the protocols that share speakers."""
    cells = []
    for row in rows.to_dict("records"):
        tested = row.get("p") is not None and not np.isnan(row["p"])
        gain = with_interval(row["gain"], row["gain_low"], row["gain_high"], signed=True) if tested else ""
        p = probability(row["p"]) if tested else ""
        scored = [percent(row["uar"], ""), interval(row["low"], row["high"])]
        protocol = row["protocol"] + (mark if SPEAKER_DEPENDENT in row["stamps"] else "")
        trained = UNDEFINED if row["training"] is None or np.isnan(row["training"]) else f"{row['training']:.0f}"
        cells.append([row["corpus"], protocol, trained, str(row["seeds"]), *scored, gain, p])
    return cells
