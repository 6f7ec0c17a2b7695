"""Every statistic beyond the scores as plain JSON: calibration, ordering, prediction sets, groups, fairness, votes.

Each fold of a table has its own model. The temperature and the conformal threshold are fitted fold by fold on that
fold's dev utterances, never on test utterances. Everything else needs the test table only, and is pooled over folds
like the scores of `ser.evaluation.summary`.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from ser.errors import RunError
from ser.evaluation import beyond, calibration, conformal, groups, metrics, predictions, selective, soft
from ser.evaluation.comparison import holm
from ser.evaluation.intervals import ENOUGH_SPEAKERS
from ser.evaluation.summary import STATISTICS, plain

COVERAGES = (0.5, 0.8, 0.9, 1.0)
"""Shares of answered utterances at which the risk is shown."""
GROUPS = ("speaker", "sex", "corpus", "sentence", *predictions.OPTIONAL)
"""Columns to group by, where a table has them, beside further ones of its own; age in bands."""
OF_SPEAKERS = ("sex", "corpus", *predictions.OPTIONAL)
"""Columns that divide the speakers, so that a gap can be tested."""


def profile(table: pd.DataFrame, dev: pd.DataFrame | None = None, seed: int = 0) -> dict[str, Any]:
    """Compute all statistics beyond the scores.

    Args:
        table: Test predictions, see `ser.evaluation.predictions`, with or without its optional columns.
        dev: Predictions for the dev utterances, with the same classes, each fold's by that fold's model.
        seed: Of bootstraps and permutations.

    Returns:
        Plain JSON, every number finite or ``None``. ``calibration``, ``selective``, ``groups``, ``fairness`` and
        ``statistics`` always; ``conformal`` and ``calibration["after"]`` with ``dev``; ``calibration["corpora"]``, inside
        each corpus, where several are tested; ``soft`` with votes. See their modules. Of numbers, only
        ``groups`` and ``fairness``: they have no probabilities.

    Raises:
        RunError: If ``dev`` has other classes or is missing a fold, a speaker is in two groups, or votes are not
            shares.

    Example:
        >>> about = {"corpus": "x", "sex": ["male", "female"] * 2, "sentence": "x/1", "fold": 0}
        >>> table = pd.DataFrame({"speaker": list("1234"), **about, "target": ["a", "a", "b", "b"]})
        >>> table = table.assign(p_a=[0.9, 0.2, 0.2, 0.6], p_b=[0.1, 0.8, 0.8, 0.4])
        >>> result = profile(table)
        >>> sorted(result), result["selective"]["risk_at"]["1.0"], result["fairness"]["sex"]["best"]["group"]
        (['calibration', 'fairness', 'groups', 'selective', 'statistics'], 0.5, 'male')
    """
    if "age" in table:
        table = table.assign(age=groups.age_band(table["age"]))
    certain = not predictions.is_numeric(table)
    result: dict[str, Any] = {"statistics": STATISTICS}
    result |= {"calibration": _calibration(table), "selective": _selective(table)} if certain else {}
    result |= {"groups": _groups(table, seed), "fairness": _fairness(table, seed)}
    if dev is not None:
        _check_dev(table, dev)
    if dev is not None and certain:
        temperatures, scaled = _scaled(table, dev)
        result["calibration"] |= {"temperatures": temperatures, "after": _calibration(scaled)}
        result["conformal"] = _conformal(table, dev)
    if certain and (against_votes := soft.summary(table)) is not None:
        result["soft"] = against_votes
    made: dict[str, Any] = plain(result)
    return made


def _calibration(table: pd.DataFrame) -> dict[str, Any]:
    """Measure calibration over all utterances; where several corpora are tested, inside each as well.

    Over corpora together, a model that is too sure in one and too unsure in another can look calibrated.
    """
    p, target = predictions.probabilities(table), predictions.target_indices(table)
    speaker = table["speaker"].to_numpy(dtype=str)
    found: dict[str, Any] = {
        "ece": calibration.ece(p, target),
        "ece_interval": asdict(beyond.ece_interval(p, target, speaker)),
        "ece_debiased": calibration.ece_debiased(p, target),
        "brier": calibration.brier(p, target),
        "brier_interval": asdict(beyond.brier_interval(p, target, speaker)),
        "log_loss": metrics.cross_entropy(p, target),
        "log_loss_interval": asdict(beyond.log_loss_interval(p, target, speaker)),
        "reliability": calibration.reliability(p, target).to_dict("records"),
    }
    if len(table["corpus"].unique()) > 1:
        found["corpora"] = {str(name): _calibration(part) for name, part in table.groupby("corpus", sort=True)}
    return found


def _selective(table: pd.DataFrame) -> dict[str, Any]:
    p, target = predictions.probabilities(table), predictions.target_indices(table)
    curve = selective.risk_coverage(p, target)
    return {
        "aurc": selective.aurc(p, target),
        "aurc_interval": asdict(beyond.aurc_interval(p, target, table["speaker"].to_numpy(dtype=str))),
        "e_aurc": selective.e_aurc(p, target),
        "e_aurc_normalised": selective.e_aurc_normalised(p, target),
        "risk_at": {str(share): selective.risk_at(curve, share) for share in COVERAGES},
    }


def _groups(table: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Score by group. Sentences with few speakers get no interval, since a corpus may have hundreds of sentences."""
    fewest = {"sentence": ENOUGH_SPEAKERS}
    columns = [c for c in (*GROUPS, *predictions.further_groups(table)) if c in table]
    return {c: groups.by_group(table, c, seed, fewest.get(c, 2)) for c in columns}


def _fairness(table: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Measure the spread over speakers, and the gap of each column with at least 2 groups of the same classes.

    ``p_holm`` is each p-value corrected for the number of columns.
    """
    known = [c for c in (*OF_SPEAKERS, *predictions.further_groups(table)) if c in table]
    columns = [c for c in known if len(table[c].dropna().unique()) > 1 and _of_speakers(table, c)]
    found = {c: groups.gaps(table, c, seed=seed) for c in columns if groups.compared_groups(table, c) > 1}
    corrected = holm(np.array([gap["p_value"] for gap in found.values()]))
    for gap, p in zip(found.values(), corrected, strict=True):
        gap["p_holm"] = float(p)
    return {"speakers": groups.speaker_spread(table), **found}


def _of_speakers(table: pd.DataFrame, column: str) -> bool:
    """Whether every speaker has one value, as a folder that stands in for unknown speakers may not."""
    stated = table.dropna(subset=column).drop_duplicates(["speaker", column])
    return not stated["speaker"].duplicated().any()


def _conformal(table: pd.DataFrame, dev: pd.DataFrame) -> dict[str, Any]:
    """Score conformal sets of the unscaled probabilities: a temperature fitted on the same dev would void the guarantee."""
    sets = np.zeros(predictions.probabilities(table).shape, dtype=bool)
    thresholds = []
    for fold, rows, tuning in _by_fold(table, dev):
        p, target = predictions.probabilities(tuning), predictions.target_indices(tuning)
        limit = conformal.threshold(p, target)
        sets[rows] = conformal.sets(predictions.probabilities(table[rows]), limit)
        thresholds.append({"fold": fold, "threshold": limit, "n_dev": len(tuning)})
    return {"level": conformal.LEVEL, "thresholds": thresholds, **conformal.coverage(table, sets)}


def _scaled(table: pd.DataFrame, dev: pd.DataFrame) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Return the temperature of each fold, and the table with its probabilities scaled by them."""
    p, temperatures = predictions.probabilities(table).copy(), []  # a copy: pandas may return a view
    for fold, rows, tuning in _by_fold(table, dev):
        fitted = calibration.fit_temperature(predictions.probabilities(tuning), predictions.target_indices(tuning))
        p[rows] = calibration.apply_temperature(p[rows], fitted)
        temperatures.append({"fold": fold, "temperature": fitted, "n_dev": len(tuning)})
    return temperatures, predictions.with_probabilities(table, p)


def _by_fold(table: pd.DataFrame, dev: pd.DataFrame) -> list[tuple[int, np.ndarray, pd.DataFrame]]:
    """Return each fold, its rows in the test table as ``(utterance,)`` booleans, and its dev table."""
    folds = sorted(int(fold) for fold in table["fold"].unique())
    return [(fold, (table["fold"] == fold).to_numpy(), dev[dev["fold"] == fold]) for fold in folds]


def _check_dev(table: pd.DataFrame, dev: pd.DataFrame) -> None:
    if (here := predictions.classes(table)) != (there := predictions.classes(dev)):
        raise RunError(
            f"The dev predictions have the classes {', '.join(there)}; the test predictions have {', '.join(here)}. "
            "Score dev and test with the same checkpoint."
        )
    if missing := sorted(set(table["fold"]) - set(dev["fold"])):
        raise RunError(
            f"The dev predictions have no utterances of fold {', '.join(map(str, missing))}, which its temperature is "
            "fitted on. "
            "Score them with that fold's checkpoint."
        )
