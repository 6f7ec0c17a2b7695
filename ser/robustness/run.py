"""Score a run's test speakers under every condition of a suite; write and print what comes of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from ser.build import build
from ser.evaluation import predictions
from ser.evaluation.summary import read_metrics, write_metrics
from ser.files import replacing
from ser.inference.score import score
from ser.recompute import check_same, folds_of
from ser.robustness import report
from ser.robustness.results import measure
from ser.robustness.suite import Suite


def score_suite(folder: Path, corpora: str, stores: str, suite: Mapping[str, Any]) -> None:
    """Score every fold of a run, on a GPU where there is one, and report the folds together.

    In the run's folder, under the suite's name: ``.parquet`` has every prediction, ``.json`` the numbers, ``.png`` the
    curves, and a folder in each fold what is done so far, so that a suite that was stopped goes on.

    Args:
        folder: Of a run, or of a ``fold=all`` run.
        corpora: Where to look for a corpus that is no longer where the run found it.
        stores: Folder of the prepared waveform stores.
        suite: Arguments of `ser.robustness.suite.Suite`.

    Raises:
        ConfigError: If the suite cannot be made, or a condition is none for this run.
        RunError: If the corpus on disk is not what the run was trained on, or the checkpoint does not give the run's
            predictions on speech as it is, so that nothing can be compared to them.
    """
    made = build({"_target_": f"{Suite.__module__}.{Suite.__qualname__}", **suite}, Suite)
    about = read_metrics(folder / "metrics.json")["run"]
    scored = []
    for data, model, part in folds_of(folder, corpora, stores, "cuda" if torch.cuda.is_available() else "cpu"):
        clean = score(model, data, data.split.test)
        check_same(predictions.read(part / "predictions.parquet"), clean, part)
        scored.append(made.score_fold(model, data, clean, part))
    table = pd.concat(scored, ignore_index=True)
    with replacing(folder / f"{made.name}.parquet") as unfinished:
        table.to_parquet(unfinished, index=False)
    measured = measure(table, made.conditions)
    write_metrics({**measured, "suite": dict(suite), "run": about}, folder / f"{made.name}.json")
    title, stamps = f"{'+'.join(about['corpora'])}, {about['protocol']}: {made.name}", tuple(about["stamps"])
    report.curves(measured, folder / f"{made.name}.png", title, stamps=stamps)
    console = Console()
    console.print(report.conditions_table(measured, title, stamps))
    console.print(f"Written to {folder}: {made.name}.parquet, .json, .png", highlight=False, soft_wrap=True)
