"""The numbers of a run, ``metrics.json``, computed from its predictions table alone."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ser.errors import RunError
from ser.evaluation import agreement, metrics, predictions
from ser.evaluation.beyond import log_loss_interval
from ser.evaluation.intervals import speaker_interval
from ser.evaluation.measure import Measure, measure_of
from ser.runtime.files import write_text

Summary = dict[str, Any]
"""Plain JSON: strings, numbers, lists, dictionaries; ``None`` where a number is not defined."""

ABSENT = "absent"
STATISTICS = 2
"""How intervals and tests are computed, counted up whenever that changes: summaries and profiles say it, from 2 on."""


class Difference(NamedTuple):
    """A place where two summaries differ; ``absent`` stands for a value that one of them does not have."""

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.path}: {self.old} before, {self.new} now"


def summarise(table: pd.DataFrame, seed: int = 0) -> Summary:
    """Compute every number that a report shows.

    Of numbers, CCC takes the place of UAR, and every dimension has its own intervals.

    The scores at the top are **pooled**: all folds' utterances in one confusion matrix, as for the interval. ``folds``
    has the mean over folds that papers report, with the standard deviation (n - 1) between folds.

    Raises:
        RunError: If the table does not pass `ser.evaluation.predictions.check_predictions`.

    Example:
        >>> about = {"corpus": "x", "sex": "male", "sentence": "x/1", "fold": 0}
        >>> rows = [{"utterance": f"x/{i}", "speaker": f"x/{i}", **about, "target": "sad"} for i in range(3)]
        >>> table = pd.DataFrame(rows)[list(predictions.COLUMNS)].assign(p_angry=[0.1, 0.2, 0.9], p_sad=[0.9, 0.8, 0.1])
        >>> summary = summarise(table)
        >>> round(summary["uar"], 3), summary["per_class"]["angry"]["recall"], summary["uar_interval"]["caution"]
        (0.667, None, '3 speakers are too few: the interval is indicative')
    """
    predictions.check_predictions(table)
    measure = measure_of(table)
    _, by_speaker = measure.by_speaker(table)
    interval = speaker_interval(by_speaker, measure.statistic, seed=seed, bounds=measure.bounds)
    summary: Summary = plain(
        {
            "statistics": STATISTICS,
            "n_utterances": len(table),
            "n_speakers": len(by_speaker),
            "n_folds": table["fold"].nunique(),
            **measure.pooled(by_speaker.sum(axis=0)),
            f"{measure.key}_interval": asdict(interval),
            **_further_intervals(by_speaker, measure, seed),
            **(_of_numbers if predictions.is_numeric(table) else _of_classes)(table, by_speaker, seed),
            "folds": _folds(table, measure),
        }
    )
    return summary


def write_metrics(summary: Mapping[str, Any], path: Path) -> None:
    """Write a summary atomically as JSON with sorted keys.

    Raises:
        ValueError: If the summary holds NaN or an infinity, which JSON does not have.
    """
    write_text(json.dumps(summary, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n", path)


def read_metrics(path: Path) -> Summary:
    """Read what `write_metrics` wrote.

    Raises:
        RunError: If there is no such file or it is not a JSON object.
    """
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"There is no {path}. Finished runs have one beside their predictions; train again.") from error
    except ValueError as error:
        raise RunError(f"{path} must be JSON ({error}). Evaluate the run again to rewrite it.") from error
    if not isinstance(summary, dict):
        raise RunError(f"{path} must hold a JSON object; got {type(summary).__name__}. Evaluate the run again.")
    return summary


def differences(old: Any, new: Any, tolerance: float = 1e-9, path: str = "") -> list[Difference]:
    """List where two summaries differ, in the order of their keys.

    Of summaries whose intervals and tests are computed otherwise (`STATISTICS`), only the other numbers are compared.

    Args:
        old: A summary, or any plain JSON.
        new: The same, as it is now.
        tolerance: Largest absolute difference between two numbers that counts as equal.
        path: The place of these two; used by the recursion.

    Example:
        >>> [str(d) for d in differences({"uar": 0.5, "n": 3}, {"uar": 0.6, "n": 3})]
        ['uar: 0.5 before, 0.6 now']
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        if old.get("statistics") != new.get("statistics"):
            old, new = _descriptive(old), _descriptive(new)
        keys = sorted({*old, *new})
        pairs = [(f"{path}.{key}".lstrip("."), old.get(key, ABSENT), new.get(key, ABSENT)) for key in keys]
    elif _is_list(old) and _is_list(new) and len(old) == len(new):
        pairs = [(f"{path}[{i}]", *pair) for i, pair in enumerate(zip(old, new, strict=True))]
    else:
        return [] if _equal(old, new, tolerance) else [Difference(path, old, new)]
    return [difference for where, a, b in pairs for difference in differences(a, b, tolerance, where)]


def _further_intervals(by_speaker: np.ndarray, measure: Measure, seed: int) -> Summary:
    """Return the intervals of the scores beside the main one."""
    found = {
        key: speaker_interval(by_speaker, score, seed=seed, bounds=measure.bounds_of(key))
        for key, score in measure.scores.items()
        if key != measure.key
    }
    return {f"{key}_interval": asdict(interval) for key, interval in found.items()}


def _of_classes(table: pd.DataFrame, by_speaker: np.ndarray, seed: int) -> Summary:
    names, counts = predictions.classes(table), by_speaker.sum(axis=0)
    p, target, speaker = (
        predictions.probabilities(table),
        predictions.target_indices(table),
        table["speaker"].to_numpy(str),
    )
    return {
        "classes": list(names),
        "cross_entropy": metrics.cross_entropy(p, target),
        "cross_entropy_interval": asdict(log_loss_interval(p, target, speaker)),
        "per_class": _per_class(counts, names),
        "confusion": counts.tolist(),
    }


def _of_numbers(table: pd.DataFrame, by_speaker: np.ndarray, seed: int) -> Summary:
    """Return the scores of each dimension."""
    names = predictions.classes(table)
    each = {name: by_speaker[:, [i]] for i, name in enumerate(names)}
    return {
        "dimensions": list(names),
        "per_dimension": {name: _dimension(table, name, sums, seed) for name, sums in each.items()},
    }


def _dimension(table: pd.DataFrame, name: str, by_speaker: np.ndarray, seed: int) -> Summary:
    target, of = table[predictions.TARGET + name], measure_of(table)
    return {
        **of.pooled(by_speaker.sum(axis=0)),
        "ccc_interval": asdict(speaker_interval(by_speaker, agreement.ccc, seed=seed, bounds=of.bounds)),
        "rmse_interval": _rmse_interval(by_speaker, seed),
        "target_mean": target.mean(),
        "target_sd": target.std(ddof=0),  # the RMSE of one who always answers the mean
    }


def _rmse_interval(by_speaker: np.ndarray, seed: int) -> Summary:
    return asdict(speaker_interval(by_speaker, agreement.rmse, seed=seed, bounds=(0.0, math.inf)))


def _per_class(counts: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    scores = {"recall": metrics.recall_per_class(counts), "precision": metrics.precision_per_class(counts)}
    scores |= {"f1": metrics.f1_per_class(counts), "support": counts.sum(axis=1)}
    return {name: {score: values[i] for score, values in scores.items()} for i, name in enumerate(names)}


def _folds(table: pd.DataFrame, measure: Measure) -> Summary:
    each: list[dict[str, Any]] = []
    for fold, rows in table.groupby("fold"):
        _, by_speaker = measure.by_speaker(rows)
        size = {"n_utterances": len(rows), "n_speakers": len(by_speaker)}
        each.append({"fold": fold, **size, **measure.pooled(by_speaker.sum(axis=0))})
    main = np.array([fold[measure.key] for fold in each], dtype=np.float64)
    deviation = main.std(ddof=1) if len(main) > 1 else math.nan
    return {f"{measure.key}_mean": main.mean(), f"{measure.key}_sd": deviation, "each": each}


def plain(value: Any) -> Any:
    """Convert numpy's numbers to Python's, and NaN and infinities to ``None``."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _descriptive(value: Any) -> Any:
    """Return a summary, or a part of one, without what is concluded from speakers about others."""
    if isinstance(value, Mapping):
        kept = {key: inner for key, inner in value.items() if not key.endswith("_interval")}
        return {key: _descriptive(inner) for key, inner in kept.items() if key not in ("statistics", "fairness")}
    return [_descriptive(inner) for inner in value] if _is_list(value) else value


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _equal(old: Any, new: Any, tolerance: float) -> bool:
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in (old, new)):
        return math.isclose(old, new, rel_tol=0.0, abs_tol=tolerance)
    return type(old) is type(new) and bool(old == new)
