"""A classic experiment beside its speaker-independent twin: the same models on the same utterances, two splits.

Many published accuracies come from random splits, which test on the speakers, and often the sentences, that train. The
report scores each model under that split and under one whose test speakers never train, and says how much of the first
number is the split's. A page of pictures of the corpora stands beside it.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console, Group

from ser.comparison.report import Report, draw_score, present
from ser.comparison.systems import Pooled, find, join_folds, names
from ser.errors import RunError, SerError
from ser.evaluation import metrics, predictions
from ser.evaluation.comparison import SIGNIFICANT, paired
from ser.evaluation.intervals import speaker_interval
from ser.evaluation.measure import refuse_numbers
from ser.evaluation.seeds import seed_and_speaker_interval
from ser.pictures.explore import PAGE_FILE, draw_corpora
from ser.report.drawing import STAMP_COLOUR, drawing
from ser.report.format import interval, p_value, percent, with_interval
from ser.report.tables import simple_table

ALL = "all"
"""The row of every corpus together."""
SPLITS = ORIGINAL, INDEPENDENT = "original", "independent"
HEADINGS = ("model", "tested on", "split", "accuracy", "95 % interval", "UAR", "precision", "F1", "difference")
"""Of the file for reading; the difference is the original's accuracy minus the other."""
OF_PAGE = {"device": "auto", "points": 1000, "vector": None, "seed": 0}
"""Settings of the page of the corpora; UMAP is left out, as it takes longer than the rest."""
READING = (
    "Red: the original's split. Blue: no test speaker trains. Bars: 95 % interval over speakers, dotted where they are too "
    "few to conclude."
)


class Classic(Report):
    """The report of ``experiment=classic_...``.

    Args:
        title: What the original is, in a few words.
        original: The protocol of the original's split.
        independent: The protocol that tests each utterance too, with no test speaker in training.
        reported: The accuracy that such projects report, from 0 to 1; ``None`` if none is quoted.
    """

    def __init__(
        self, title: str, original: str = "random", independent: str = "speaker_cv", reported: float | None = None
    ) -> None:
        self.title, self.reported = title, reported
        self.splits = {original: ORIGINAL, independent: INDEPENDENT}

    def write(self, folder: Path, runs: Sequence[Path]) -> None:
        """Write ``classic.csv``, ``classic.md`` and ``classic.png`` beside the runs, and print table and conclusion.

        ``explore`` beside them gets the page of the corpora, unless it has one.
        """
        rows = self.rows(runs)
        present(
            rows, folder / "classic", [HEADINGS, *_cells(rows)], self.tables(rows), self.plot, self.conclusion(rows)
        )
        Console().print(_of_corpora(folder / "explore", runs), highlight=False, markup=False, soft_wrap=True)

    def tables(self, rows: pd.DataFrame) -> Group:
        """Lay out the rows for the terminal: both accuracies side by side, then the other scores."""
        accuracies = simple_table(self.title, "accuracy in %", "", *self.splits, "difference", left=2)
        scores = simple_table(
            "Means over the classes, in %", "", "", "split", "UAR (recall)", "precision", "F1", left=3
        )
        for (model, corpus), part in rows.groupby(["model", "corpus"], sort=False):
            of = {row["split"]: row for row in _records(part)}
            shown = [with_interval(of[s]["accuracy"], of[s]["low"], of[s]["high"]) if s in of else "" for s in SPLITS]
            told = [text.replace(" [", "\n[") for text in (*shown, _gap_text(of.get(ORIGINAL, {})))]
            accuracies.add_row(str(model), str(corpus), *told)
            for row in of.values():
                style = "red" if row["split"] == ORIGINAL else ""
                cells = [percent(row[key], "") for key in ("uar", "precision", "f1")]
                scores.add_row(str(model), str(corpus), row["protocol"], *cells, style=style)
        accuracies.caption = "Brackets: 95 % interval over speakers."
        return Group(accuracies, scores)

    def rows(self, runs: Sequence[Path]) -> pd.DataFrame:
        """Score each model under both splits, on each corpus and on all together.

        Returns:
            One row a model, corpus and split: ``model``, ``corpus``, ``split`` (``original`` or ``independent``),
            ``protocol``, ``seeds``, ``speakers``, ``classes``, ``accuracy`` with its interval ``low`` and ``high``,
            ``uar``, ``precision``, ``f1``, ``stamps``; in rows of the original ``gap``, ``gap_low``, ``gap_high`` and
            ``p``: its accuracy minus that of the independent split, paired by speaker on the same utterances.

        Raises:
            RunError: If no run is of one of the two protocols.
        """
        found = [run for run in join_folds(find(runs)[0])[0] if run.about["protocol"] in self.splits]
        if not found:
            raise RunError(
                f"sweep.report must have runs of protocol={' or '.join(self.splits)}; got none. Run the sweep."
            )
        systems: dict[str, dict[str, list[Pooled]]] = defaultdict(lambda: defaultdict(list))
        for name, run in zip(names([json.loads(run.system) for run in found]), found, strict=True):
            refuse_numbers(run.runs[0].metrics, "A classic experiment")
            systems[name][self.splits[run.about["protocol"]]].append(run)
        return pd.DataFrame([row for name, by_split in systems.items() for row in _rows(name, by_split)])

    def conclusion(self, rows: pd.DataFrame) -> str:
        """Return what the difference of the best model's two numbers means, in a sentence."""
        first, second = _best(rows)
        if first is None or second is None:
            return "One of the two splits has no finished run: there is nothing to set side by side."
        text = (
            f"{first['model']} is right on {percent(first['accuracy'])} of the clips where their speakers train it, too, "
            f"and on {percent(second['accuracy'])} where they do not"
        )
        if self.reported is not None:
            text += f" (such projects report {percent(self.reported)})"
        gap = with_interval(first["gap"], first["gap_low"], first["gap_high"], " points", signed=True)
        told = f"{gap}, {p_value(first['p'])} on {second['speakers']} speakers"
        if first["gap"] <= 0:
            return f"{text}: here the original's split does not raise the number ({told})."
        if first["p"] < SIGNIFICANT:
            return f"{text}: the difference, {told}, is knowledge of the speakers and their sentences, not of emotion."
        return f"{text}: so few speakers cannot show that the difference, {told}, is not chance."

    def plot(self, rows: pd.DataFrame, path: Path) -> None:
        """Draw both accuracies of each model, a panel a corpus."""
        import seaborn as sns

        corpora, models = (list(dict.fromkeys(rows[column])) for column in ("corpus", "model"))
        colours = {ORIGINAL: STAMP_COLOUR, INDEPENDENT: sns.color_palette("colorblind")[0]}
        width = max(1.3 * len(models) * len(corpora) + 1.2, 5.0)
        with drawing(path, (width, 4.4), grid=True) as figure:
            panels = figure.subplots(1, len(corpora), sharey=True, squeeze=False)[0]
            for axes, corpus in zip(panels, corpora, strict=True):
                part = rows[rows["corpus"] == corpus]
                for row in _records(part):
                    offset = 0.13 if row["split"] == INDEPENDENT else -0.13
                    draw_score(
                        axes, models.index(row["model"]) + offset, row, "accuracy", colours[row["split"]], beside=0.08
                    )
                axes.axhline(100 / int(part["classes"].iloc[0]), color="0.5", linestyle=(0, (4, 3)), linewidth=1)
                if self.reported is not None:
                    axes.axhline(100 * self.reported, color=STAMP_COLOUR, linestyle=":", linewidth=1.2)
                axes.set_title(corpus if len(corpora) > 1 else "", fontsize=11)
                axes.set_xticks(range(len(models)), [model.replace("_", "\n") for model in models], fontsize=9)
                axes.set(xlim=(-0.5, len(models) - 0.5), ylim=(0, 104))
                axes.grid(visible=False, axis="x")
            panels[0].set_ylabel("accuracy (%)")
            lines = " Dashed: chance." + " Dotted: as reported." * (self.reported is not None)
            figure.supxlabel(fill(READING + lines, int(13 * width)), fontsize=9, color="0.35")
            figure.suptitle(fill(self.title, int(9 * width)), fontsize=12, fontweight="bold")


def _of_corpora(folder: Path, runs: Sequence[Path]) -> str:
    """Draw the corpora of the runs, unless that is done, and return where the pictures are, or why there are none."""
    page = folder / PAGE_FILE
    if not page.exists():
        settings = find(runs)[0][0].runs[0].settings
        features = {"_target_": "ser.features.cepstra.MFCC", "sample_rate": settings["audio"]["sample_rate"]}
        try:
            draw_corpora({**settings, **OF_PAGE, "features": features, "out": str(folder)}, extra=None)
        except SerError as error:
            return f"No pictures of the corpora: {error}"
    return f"Pictures of the corpora: {page}"


def _rows(model: str, by_split: dict[str, list[Pooled]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a model: every corpus together first, then each, if there are several."""
    tables = {split: [run.table for run in runs] for split, runs in by_split.items()}
    every = sorted({corpus for parts in tables.values() for part in parts for corpus in part["corpus"].unique()})
    for corpus in [ALL, *every] if len(every) > 1 else every:
        kept = {
            split: [part if corpus == ALL else part[part["corpus"] == corpus] for part in parts]
            for split, parts in tables.items()
        }
        for split in SPLITS:
            if split in kept:
                runs = by_split[split]
                stamps = "; ".join(dict.fromkeys(stamp for run in runs for stamp in run.about["stamps"]))
                about = {"model": model, "corpus": corpus, "split": split, "protocol": runs[0].about["protocol"]}
                yield about | _scores(kept[split]) | _gap(kept, split) | {"stamps": stamps}


def _scores(tables: Sequence[pd.DataFrame]) -> dict[str, Any]:
    """Return the scores of one or several seeds, as the mean over seeds."""
    by_speaker = np.stack([predictions.confusion_by_speaker(table)[1] for table in tables])
    pooled = by_speaker.sum(axis=1)
    over, sums = (seed_and_speaker_interval, by_speaker) if len(tables) > 1 else (speaker_interval, by_speaker[0])
    between = over(sums, metrics.accuracy, bounds=(0.0, 1.0))
    precision = metrics.mean_of_defined(metrics.precision_per_class(pooled))
    scores = {"accuracy": metrics.accuracy(pooled), "uar": metrics.uar(pooled), "precision": precision}
    scores["f1"] = metrics.macro_f1(pooled)
    about = {"seeds": len(tables), "speakers": tables[0]["speaker"].nunique(), "classes": pooled.shape[-1]}
    return about | {k: float(np.mean(v)) for k, v in scores.items()} | {"low": between.low, "high": between.high}


def _gap(kept: dict[str, list[pd.DataFrame]], split: str) -> dict[str, float | None]:
    """Return how far the original's accuracy is above the independent one, in the original's row."""
    if split != ORIGINAL or INDEPENDENT not in kept:
        return {}
    ones, others = ([table.assign(fold=0) for table in kept[each]] for each in SPLITS)
    test = paired(ones, others, metrics.accuracy)
    return {"gap": test.difference, "gap_low": test.interval.low, "gap_high": test.interval.high, "p": test.p_value}


def _best(rows: pd.DataFrame) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the two rows of the model that is best on new speakers, over all corpora."""
    whole = rows[rows["corpus"] == rows["corpus"].iloc[0]]
    models = whole[whole["split"] == INDEPENDENT].sort_values("accuracy", ascending=False)["model"]
    both = whole[whole["model"] == models.iloc[0]] if len(models) else whole
    found = {row["split"]: row for row in _records(both)}
    return found.get(ORIGINAL), found.get(INDEPENDENT)


def _cells(rows: pd.DataFrame) -> list[list[str]]:
    """Return the rows as text under `HEADINGS`."""
    cells = []
    for row in _records(rows):
        scored = [percent(row["accuracy"], ""), interval(row["low"], row["high"])]
        scored += [percent(row[key], "") for key in ("uar", "precision", "f1")]
        cells.append([row["model"], row["corpus"], row["protocol"], *scored, _gap_text(row)])
    return cells


def _gap_text(row: Mapping[str, Any]) -> str:
    if (gap := row.get("gap")) is None or np.isnan(gap):
        return ""
    return with_interval(gap, row["gap_low"], row["gap_high"], signed=True)


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return rows.to_dict("records")  # type: ignore[return-value]  # the names of its columns are text
