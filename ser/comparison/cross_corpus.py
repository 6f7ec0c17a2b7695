"""Every corpus to every other, each within itself, and all but one to that one: how well a model transfers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from ser.comparison.report import Report, present
from ser.evaluation.measure import refuse_numbers
from ser.evaluation.summary import summarise
from ser.report.drawing import drawing
from ser.report.format import with_interval
from ser.report.tables import simple_table
from ser.runs.folder import RunFolder
from ser.runs.identity import model_name

OTHERS = "others"
"""The training set of a row: all corpora but the one tested."""


class CrossCorpusMatrix(Report):
    """The report of ``experiment=cross_corpus_matrix``."""

    def write(self, folder: Path, runs: Sequence[Path]) -> None:
        """Write ``cross_corpus.csv``, ``cross_corpus.md`` and ``cross_corpus.png`` beside the runs, and print the table."""
        rows = transfers(runs)
        cells = _cells(rows)
        lines = [("train \\ test", *cells), *cells.itertuples(name=None)]
        present(rows, folder / "cross_corpus", lines, cross_corpus_table(rows), cross_corpus_plot)


def transfers(folders: Sequence[Path]) -> pd.DataFrame:
    """Score each training set on each test corpus.

    Returns:
        One row a training set and test corpus: ``train`` (a corpus, or ``others``), ``test``, ``model``, ``classes``,
        ``speakers``, ``uar``, ``low``, ``high``, ``accuracy``, ``caution``, ``stamps``.
    """
    rows = []
    for run in (RunFolder(folder) for folder in sorted(folders, key=lambda folder: folder.name)):
        refuse_numbers(run.metrics, "experiment=cross_corpus_matrix")
        trained, model = run.config["protocol"]["train"], model_name(run.config["model"])
        for test, table in run.predictions.groupby("corpus"):
            summary = summarise(table)
            interval = summary["uar_interval"]
            row = {"train": trained if isinstance(trained, str) else "+".join(trained), "test": test, "model": model}
            row |= {"classes": len(summary["classes"]), "speakers": summary["n_speakers"], "uar": summary["uar"]}
            row |= {"low": interval["low"], "high": interval["high"], "accuracy": summary["accuracy"]}
            rows.append(row | {"caution": interval["caution"], "stamps": "; ".join(run.about["stamps"])})
    return pd.DataFrame(rows)


def cross_corpus_table(rows: pd.DataFrame) -> Table:
    """Lay out the rows of `transfers` for the terminal: train down, test across."""
    cells = _cells(rows)
    table = simple_table("UAR in % [95 % interval over speakers]: train down, test across", "train", *cells)
    for train, shown in cells.iterrows():
        table.add_row(str(train), *(Text(text, style="bold" if train == test else "") for test, text in shown.items()))
    table.caption = "Bold: within a corpus, other speakers. Others: all corpora but the tested one. UAR: mean recall."
    return table


def cross_corpus_plot(rows: pd.DataFrame, path: Path) -> None:
    """Draw the heat map, an interval in every cell; the diagonal (within a corpus, other speakers) is framed."""
    import seaborn as sns
    from matplotlib.patches import Rectangle

    values, texts = 100 * _grid(rows, "uar"), _cells(rows).map(lambda text: text.replace(" ", "\n", 1))
    trains, tests = list(values.index), list(values.columns)
    chance = 100 / int(rows["classes"].max())
    with drawing(path, (1.7 * len(tests) + 2.6, 1.05 * len(trains) + 2.0), stamps=_stamps(rows)) as figure:
        axes = figure.add_subplot()
        sns.heatmap(
            values,
            ax=axes,
            annot=texts,
            fmt="",
            mask=values.isna(),
            cmap="Blues",
            vmin=chance,
            vmax=max(chance + 1, float(rows["uar"].max()) * 115),
            linewidths=1.5,
            linecolor="white",
            annot_kws={"fontsize": 10.5},
            xticklabels=tests,
            yticklabels=[f"all {OTHERS}" if train == OTHERS else train for train in trains],
            cbar_kws={"label": f"UAR (%), from chance ({chance:.1f})"},
        )
        axes.set(xlabel="test (speakers)", ylabel="train", facecolor="0.93")
        speakers = rows.groupby("test")["speakers"].max()
        axes.set_xticklabels([f"{test}\n({speakers[test]} speakers)" for test in tests])
        axes.tick_params(axis="both", rotation=0)
        for i, train in enumerate(trains):
            if train in tests:
                axes.add_patch(Rectangle((tests.index(train), i), 1, 1, fill=False, edgecolor="0.15", linewidth=2))
        model = ", ".join(dict.fromkeys(rows["model"]))
        figure.suptitle(
            f"Across corpora ({model}, {int(rows['classes'].max())} classes)\nframed: within a corpus, other speakers",
            fontsize=12,
            fontweight="bold",
        )


def _grid(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column of the rows as training sets down, `OTHERS` last, by test corpora across."""
    grid = rows.pivot_table(column, "train", "test", aggfunc="first", dropna=False)
    return grid.loc[sorted(grid.index, key=lambda name: (name == OTHERS, name))]


def _cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the UAR and interval of each cell as text, empty where there is none."""
    scores = zip(rows["uar"], rows["low"], rows["high"], strict=True)
    shown = ["" if np.isnan(uar) else with_interval(uar, low, high) for uar, low, high in scores]
    return _grid(rows.assign(shown=shown), "shown").fillna("")


def _stamps(rows: pd.DataFrame) -> list[str]:
    """Return each stamp with the cells that carry it, or alone where all do."""
    cells_of: dict[str, list[str]] = {}
    for row in rows.to_dict("records"):
        for stamp in filter(None, row["stamps"].split("; ")):
            cells_of.setdefault(stamp, []).append(f"{row['train']} to {row['test']}")
    return [s if len(cells) == len(rows) else f"{', '.join(cells)}: {s}" for s, cells in cells_of.items()]
