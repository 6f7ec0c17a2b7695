"""What a run leaves beside its checkpoint: predictions, numbers, pictures and a card, all of them from the predictions.

``metrics.json`` is written last but the card, so that a folder which has it is a finished run.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ser.evaluation import predictions
from ser.evaluation.profile import profile
from ser.evaluation.summary import summarise, write_metrics
from ser.protocols.split_file import write_splits
from ser.report import plots, tables
from ser.report.highlights import highlights_table
from ser.runs.card import write_card
from ser.runtime.files import write_json

if TYPE_CHECKING:
    from ser.datamodules.speech import SpeechDataModule

SHARED = ("stamps", "corpora", "labels", "protocol", "fingerprint", "seed", "parameters", "encoder")
"""What all folds of a run have in common, where they have it; stamps may differ by a percentage, and are joined."""


def write_results(
    folder: Path, test: pd.DataFrame, dev: pd.DataFrame, about: Mapping[str, Any], left_out: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Write predictions, numbers, the confusion matrix and the card, and print the numbers.

    Args:
        folder: The run's.
        test: Predictions table, see `ser.evaluation.predictions`.
        dev: The same of the dev side, which temperatures and conformal thresholds are fitted on.
        about: On what, how and from what the numbers were had; kept beside them.
        left_out: Files that the corpora have and the run could not use.

    Returns:
        The summary (`ser.evaluation.summary`).
    """
    from rich import get_console

    marks = tuple(about["stamps"])
    for name, table in (("predictions", test), ("dev_predictions", dev)):
        predictions.write_predictions(table, folder / f"{name}.parquet")
    test, dev = (
        predictions.read_predictions(folder / f"{name}.parquet") for name in ("predictions", "dev_predictions")
    )
    summary = summarise(test)
    beyond = profile(test, dev)
    write_json(beyond, folder / "profile.json")
    title = f"{'+'.join(about['corpora'])}, {about['protocol']}" + (
        f", fold {about['fold']}" if "fold" in about else ", all folds"
    )
    plots.confusion_matrix(summary, folder / "confusion_matrix.png", title, stamps=marks)
    write_metrics({**summary, "run": dict(about)}, folder / "metrics.json")
    write_card(folder, left_out=[dict(file) for file in left_out])
    console = get_console()  # quiet in a sweep
    console.print(tables.results_table(summary, title, marks))
    console.print(tables.confusion_table(summary))
    if summary["n_folds"] > 1:
        console.print(tables.folds_table(summary))
    console.print(highlights_table(beyond))
    console.print(f"Labels: {about['labels']}", f"Run folder: {folder}", sep="\n", highlight=False, soft_wrap=True)
    return summary


def pool(folder: Path, parts: Sequence[Path], left_out: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Write the results of all folds together, from what each fold's folder holds."""
    tables_ = {
        name: pd.concat([predictions.read_predictions(part / f"{name}.parquet") for part in parts], ignore_index=True)
        for name in ("predictions", "dev_predictions")
    }
    each = [json.loads((part / "metrics.json").read_text())["run"] for part in parts]
    about = {key: each[0][key] for key in SHARED if key in each[0]}
    about["stamps"] = list(dict.fromkeys(stamp for fold in each for stamp in fold["stamps"]))
    about["split_hash"] = [fold["split_hash"] for fold in each]
    about["train_seconds"] = sum(fold["train_seconds"] for fold in each)
    splits = [json.loads((part / "split.json").read_text()) for part in parts]
    write_json({**splits[0], "folds": [fold for split in splits for fold in split["folds"]]}, folder / "split.json")
    write_json(
        [finding for part in parts for finding in json.loads((part / "audit.json").read_text())], folder / "audit.json"
    )
    return write_results(folder, tables_["predictions"], tables_["dev_predictions"], about, left_out)


def write_split(folder: Path, data: "SpeechDataModule") -> None:
    """Write which utterances train, tune and test, and what the audit found."""
    write_splits([data.split], data.labelled.manifest, folder / "split.json", data.plan.protocol)
    write_json([{"fold": data.fold, **finding.plain()} for finding in data.findings], folder / "audit.json")
