"""How much a leak buys: one model under protocols that share speakers, sentences, both or neither with training.

Every protocol tests each utterance of a corpus once, so that two protocols are compared on the same utterances, speaker by
speaker, and what differs is what training was allowed to hear.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ser.comparison.report import Report

if TYPE_CHECKING:
    import pandas as pd

HONEST = "speaker_cv"
"""What the others are compared with."""


class Leakage(Report):
    """Of ``experiment=leakage``."""

    def write(self, folder: Path, runs: Sequence[Path]) -> None:
        """Write ``leakage.csv``, ``leakage.md`` and ``leakage.png`` beside the runs, and print the table."""
        from ser.comparison.leakage_report import leakage_markdown, leakage_plot, leakage_table
        from ser.comparison.runs import present

        rows = leaks(runs)
        present(rows, folder / "leakage", leakage_markdown(rows), leakage_table(rows), leakage_plot)


def leaks(folders: Sequence[Path]) -> "pd.DataFrame":
    """One row a corpus and protocol.

    Returns:
        Columns ``corpus``, ``model``, ``protocol``, ``folds``, ``speakers``, ``classes``, ``uar``, ``low``, ``high``,
        ``accuracy``; ``worst`` and ``best``, UARs of single speakers; ``gain``, ``gain_low``, ``gain_high``, ``p``: the
        difference of UAR from ``speaker_cv`` on the same utterances, paired by speaker; ``caution``; ``stamps``.
    """
    import pandas as pd

    from ser.comparison.leakage_report import NAMES
    from ser.comparison.runs import finished
    from ser.evaluation.comparison import paired
    from ser.evaluation.summary import summarise

    runs = {("+".join(run.about["corpora"]), run.model, run.about["protocol"]): run for run in finished(folders)}
    rows = []
    for (corpus, model, protocol), run in runs.items():
        summary = summarise(run.table)
        interval = summary["uar_interval"]
        row = {"corpus": corpus, "model": model, "protocol": protocol, "folds": summary["n_folds"]}
        row |= {"speakers": summary["n_speakers"], "classes": len(summary["classes"]), "uar": summary["uar"]}
        row |= {"low": interval["low"], "high": interval["high"], "accuracy": summary["accuracy"]}
        row |= dict(zip(("worst", "best"), _extremes(run.table), strict=True))
        row |= {"caution": interval["caution"], "stamps": "; ".join(run.about["stamps"])}
        honest = runs.get((corpus, model, HONEST))
        if honest is not None and protocol != HONEST:
            apart = paired(run.table.assign(fold=0), honest.table.assign(fold=0))
            row |= {"gain": apart.difference, "gain_low": apart.interval.low, "gain_high": apart.interval.high}
            row |= {"p": apart.p_value}
        rows.append(row)
    order = list(NAMES)
    table = pd.DataFrame(rows)
    rank = table["protocol"].map(lambda name: order.index(name) if name in order else len(order))
    return table.assign(rank=rank).sort_values(["corpus", "model", "rank"], kind="stable").drop(columns="rank")


def _extremes(table: "pd.DataFrame") -> tuple[float, float]:
    """The lowest and the highest UAR of a speaker."""
    from ser.evaluation import predictions
    from ser.evaluation.metrics import uar

    each = uar(predictions.confusion_by_speaker(table)[1])
    return float(each.min()), float(each.max())
