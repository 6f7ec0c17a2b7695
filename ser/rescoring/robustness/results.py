"""The numbers of a suite, computed from its table alone: UAR (or CCC) by condition, and its change from clean speech.

The change is paired: both scores are of the same resampled speakers, so the difficulty of a speaker cancels out and the
interval of the change is narrower than the two intervals suggest.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from ser.evaluation import predictions
from ser.evaluation.intervals import difference_interval, speaker_interval
from ser.evaluation.measure import Measure, measure_of
from ser.rescoring.robustness.conditions import CLEAN, Condition


def measure_robustness(table: pd.DataFrame, conditions: Sequence[Condition]) -> dict[str, Any]:
    """Compute every number that the report shows, as plain JSON.

    Args:
        table: From `ser.rescoring.robustness.run.Robustness.score_fold`, of one fold or several, pooled.
        conditions: The suite's conditions, in its order.

    Returns:
        ``clean`` (``uar``, ``uar_interval``; of numbers ``ccc``, ``ccc_interval``) and the list ``conditions``: the same for
        each, and ``change``, the score minus that of clean speech, with ``change_interval``. Intervals are
        those of `ser.evaluation.intervals.speaker_interval`.
    """
    tables, measure = table.groupby("condition", sort=False), measure_of(table)
    by_condition = {name: measure.by_speaker(rows)[1] for name, rows in tables}
    clean = by_condition[CLEAN]
    each = []
    for condition in conditions:
        counts = by_condition[condition.name]
        about = {"condition": condition.name, "effect": condition.effect, "level": condition.level}
        about |= {k: getattr(condition.how, k) for k in ("family", "quantity", "unit")}
        change, interval = difference_interval(counts, clean, measure.statistic, bounds=measure.bounds)
        each.append({**about, **_scores(counts, measure), "change": change, "change_interval": asdict(interval)})
    return {
        "n_utterances": int((table["condition"] == CLEAN).sum()),
        "n_speakers": len(clean),
        "classes": list(predictions.classes(table)),
        "clean": _scores(clean, measure),
        "conditions": each,
    }


def _scores(counts: np.ndarray, measure: Measure) -> dict[str, Any]:
    """Return the main score and its interval over speakers."""
    interval = speaker_interval(counts, measure.statistic, bounds=measure.bounds)
    return {measure.key: float(measure.statistic(counts.sum(axis=0))), f"{measure.key}_interval": asdict(interval)}
