"""Every corpus to every other, each within itself, and all but one to that one: how far a model carries."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ser.comparison.report import Report

if TYPE_CHECKING:
    import pandas as pd


class CrossCorpusMatrix(Report):
    """Of ``experiment=cross_corpus_matrix``."""

    def write(self, folder: Path, runs: Sequence[Path]) -> None:
        """Write ``cross_corpus.csv``, ``cross_corpus.md`` and ``cross_corpus.png`` beside the runs, and print the table."""
        from ser.comparison.cross_corpus_report import cross_corpus_markdown, cross_corpus_plot, cross_corpus_table
        from ser.comparison.runs import present

        rows = transfers(runs)
        present(rows, folder / "cross_corpus", cross_corpus_markdown(rows), cross_corpus_table(rows), cross_corpus_plot)


def transfers(folders: Sequence[Path]) -> "pd.DataFrame":
    """One row a training set and test corpus.

    Returns:
        Columns ``train`` (a corpus, or ``others``), ``test``, ``model``, ``classes``, ``speakers``, ``uar``, ``low``,
        ``high``, ``accuracy``, ``caution``, ``stamps``.
    """
    import pandas as pd

    from ser.comparison.runs import finished
    from ser.evaluation.summary import summarise

    rows = []
    for run in finished(folders):
        trained = run.config["protocol"]["train"]
        for test, table in run.table.groupby("corpus"):
            summary = summarise(table)
            interval = summary["uar_interval"]
            row = {
                "train": trained if isinstance(trained, str) else "+".join(trained),
                "test": test,
                "model": run.model,
            }
            row |= {"classes": len(summary["classes"]), "speakers": summary["n_speakers"], "uar": summary["uar"]}
            row |= {"low": interval["low"], "high": interval["high"], "accuracy": summary["accuracy"]}
            rows.append(row | {"caution": interval["caution"], "stamps": "; ".join(run.about["stamps"])})
    return pd.DataFrame(rows)
