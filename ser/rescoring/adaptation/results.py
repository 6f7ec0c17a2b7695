"""The numbers of the curve, computed from its table alone: UAR by the number of adaptation clips, and the gain.

All draws score the same clips, so the mean of their UARs is the UAR of their summed confusion counts, for all speakers and
for any resample of them. The interval over speakers of that sum is therefore an interval of the mean. It shows how the result
varies with other speakers; the standard deviation over draws shows how it varies with other adaptation clips of the same
speakers.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from ser.evaluation import predictions
from ser.evaluation.intervals import difference_interval, speaker_interval
from ser.evaluation.metrics import uar

ALL = "all"


def measure_adaptation(table: pd.DataFrame) -> dict[str, Any]:
    """Compute every number that the report shows, as plain JSON.

    Args:
        table: From `ser.rescoring.adaptation.run.Adaptation.score_fold`, of one fold or several, pooled by draw.

    Returns:
        ``curve``, a list in the order of ``k`` (0, 1, ... ``all``): ``draws``; ``uar``, the mean over draws, and ``uar_sd``,
        the standard deviation (n - 1), ``None`` for one draw; ``change``, the UAR minus that of k = 0. ``uar_interval`` and
        ``change_interval`` are those of `ser.evaluation.intervals.speaker_interval`, the latter paired by speaker.
        ``clips_per_speaker`` is the smallest and the largest number of clips of a speaker in a fold.
    """
    everything = table[table["k"] == ALL]
    clips = everything.groupby(["fold", "speaker"]).size()
    in_order = [*sorted(int(k) for k in table["k"].unique() if k != ALL), ALL]
    counts = {k: _by_draw(table[table["k"] == str(k)]) for k in in_order}
    nobody = counts[0].sum(axis=0)
    return {
        "n_utterances": len(everything),
        "n_speakers": int(everything["speaker"].nunique()),
        "clips_per_speaker": [int(clips.min()), int(clips.max())],
        "classes": list(predictions.classes(table)),
        "curve": [{"k": k, **_point(by_draw, nobody)} for k, by_draw in counts.items()],
    }


def measure_skew(table: pd.DataFrame) -> dict[str, Any]:
    """Compute every number that the report of `ser.rescoring.adaptation.skew.Skew` shows, as plain JSON.

    Args:
        table: From its ``score_fold``, of one fold or several.

    Returns:
        ``points``, a list in the order of the table: ``known``, the known clips in words, and further entries as in
        `measure_adaptation`; ``change`` is from no known clip, the first.
    """
    counts = {str(known): _by_draw(rows) for known, rows in table.groupby("known", sort=False)}
    nobody = next(iter(counts.values())).sum(axis=0)
    first = table[table["known"] == next(iter(counts))]
    return {
        "n_utterances": len(first),
        "n_speakers": int(first["speaker"].nunique()),
        "classes": list(predictions.classes(table)),
        "points": [{"known": known, **_point(by_draw, nobody)} for known, by_draw in counts.items()],
    }


def _by_draw(rows: pd.DataFrame) -> np.ndarray:
    """Return confusion counts, ``(draw, speaker, class, class)``."""
    return np.stack([predictions.confusion_by_speaker(drawn)[1] for _, drawn in rows.groupby("draw")])


def _point(by_draw: np.ndarray, nobody: np.ndarray) -> dict[str, Any]:
    uars, by_speaker = uar(by_draw.sum(axis=1)), by_draw.sum(axis=0)
    change, interval = difference_interval(by_speaker, nobody)
    return {
        "draws": len(uars),
        "uar": float(uars.mean()),
        "uar_sd": float(uars.std(ddof=1)) if len(uars) > 1 else None,
        "uar_interval": asdict(speaker_interval(by_speaker)),
        "change": change,
        "change_interval": asdict(interval),
    }
