"""The results of a run: predictions, and the numbers, pictures and card computed from them.

``metrics.json`` is written last except for the card, so a folder that has it is finished.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich import get_console

from ser.evaluation import predictions
from ser.evaluation.measure import measure_in
from ser.evaluation.profile import profile
from ser.evaluation.summary import summarise, write_metrics
from ser.protocols.split_file import write_splits
from ser.protocols.stamps import NOT_TESTED, some_folds
from ser.report import plots
from ser.report.format import writer
from ser.report.tables import print_results, run_notes
from ser.runs.card import FOLD_FACTS, write_card
from ser.runs.folder import (
    AUDIT,
    CONFUSION,
    DEV_PREDICTIONS,
    METRICS,
    PAGE,
    PREDICTIONS,
    PROFILE,
    SCATTER,
    SPLIT,
    RunFolder,
)
from ser.runs.identity import data_of
from ser.runtime.files import write_json

if TYPE_CHECKING:
    from ser.datamodules.data import SpeechData

log = logging.getLogger(__name__)


def write_fold(fold: RunFolder, test: pd.DataFrame, dev: pd.DataFrame | None, about: Mapping[str, Any]) -> None:
    """Write the predictions and the numbers of one fold; predictions from elsewhere may be without those of dev."""
    if dev is not None:
        predictions.write_predictions(dev, fold.path / DEV_PREDICTIONS)
    predictions.write_predictions(test, fold.path / PREDICTIONS)
    write_metrics({**summarise(fold.predictions), "run": dict(about)}, fold.path / METRICS)
    measure = measure_in(fold.metrics)
    score = f"{measure.name} {writer(measure)(fold.metrics[measure.key])}"
    log.info("Fold %s: %s on %d utterances", *about["splits"], score, len(fold.predictions))


def write_results(
    run: RunFolder, left_out: Sequence[Mapping[str, Any]], remarks: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> dict[str, Any]:
    """Pool the folds of a run, write the numbers, pictures and card, and print the numbers.

    Args:
        run: The run, whose folds are finished.
        left_out: See `ser.runs.card.write_card`.
        remarks: See `ser.runs.card.write_card`.

    Returns:
        The summary (`ser.evaluation.summary`).
    """
    has_dev = all(fold.has(DEV_PREDICTIONS) for fold in run.folds)
    for name in (PREDICTIONS, *([DEV_PREDICTIONS] if has_dev else [])):
        pooled_table = pd.concat([fold.table(name) for fold in run.folds], ignore_index=True)
        predictions.write_predictions(pooled_table, run.path / name)
    run = RunFolder(run.path)  # reads the pooled predictions
    splits = [fold.split_file for fold in run.folds]
    write_json({**splits[0], "folds": [split for file in splits for split in file["folds"]]}, run.path / SPLIT)
    write_json([finding for fold in run.folds for finding in fold.audit or []], run.path / AUDIT)
    summary = summarise(run.predictions)
    beyond = profile(run.predictions, run.dev_predictions if has_dev else None)
    about = pooled([fold.about for fold in run.folds], untested(summary), every=run.asks_for_every_fold)
    marks, title = tuple(about["stamps"]), title_of(about)
    write_json(beyond, run.path / PROFILE)
    if predictions.is_numeric(run.predictions):
        plots.scatter(run.predictions, run.path / SCATTER, title, stamps=marks)
    else:
        plots.confusion_matrix(summary, run.path / CONFUSION, title, stamps=marks)
    write_metrics({**summary, "run": about}, run.path / METRICS)
    write_card(RunFolder(run.path), left_out=[dict(file) for file in left_out], remarks=remarks)
    print_results(summary, beyond, title, marks, run_notes(about, summary), run.dev_speakers)
    last = f"Run folder: {run.path}", f"Result card: {run.path / PAGE}"
    get_console().print(*last, sep="\n", highlight=False, soft_wrap=True)
    return summary


def title_of(about: Mapping[str, Any]) -> str:
    """Return the title of a result.

    Example:
        >>> title_of({"corpora": ["ravdess"], "protocol": "luna5", "splits": {"3": "b45a"}})
        'ravdess, luna5, fold 3'
        >>> across = {"trained_on": ["ravdess"], "tested_on": ["savee"], "splits": {"0": "b45a"}}
        >>> title_of({"corpora": ["ravdess", "savee"], "protocol": "cross_corpus"} | across)
        'trained on ravdess, tested on savee, cross_corpus, fold 0'
    """
    folds = f", fold {next(iter(about['splits']))}" if len(about["splits"]) == 1 else ""
    return f"{data_of(about)}, {about['protocol']}{folds}"


def pooled(folds: Sequence[Mapping[str, Any]], untested: Sequence[str], *, every: bool = False) -> dict[str, Any]:
    """Return the facts about all folds together: common facts, and their stamps, splits and seconds.

    Args:
        folds: The facts about each fold.
        untested: The classes without a test utterance.
        every: Whether the run was to have every fold of the protocol, so that its result is stamped if one is missing.
    """
    about = {key: value for key, value in folds[0].items() if all(fold.get(key) == value for fold in folds)}
    if len(folds) > 1:
        about = {key: value for key, value in about.items() if key not in FOLD_FACTS}
    about["stamps"] = pooled_stamps([stamp for fold in folds for stamp in fold["stamps"]], untested)
    if every and len(folds) < about.get("folds", 0):
        about["stamps"].append(some_folds(len(folds), about["folds"]))
    about["splits"] = {number: split for fold in folds for number, split in fold["splits"].items()}
    about["train_seconds"] = sum(fold["train_seconds"] for fold in folds)
    return about


def pooled_stamps(stamps: Iterable[str], untested: Sequence[str]) -> list[str]:
    """Return the stamps that hold for the test utterances of several folds together.

    Example:
        >>> pooled_stamps(["synthetic speech", "not tested: disgust", "synthetic speech"], untested=[])
        ['synthetic speech']
        >>> pooled_stamps(["not tested: disgust", "not tested: disgust, fear"], untested=["disgust"])
        ['not tested: disgust']
    """
    kept = dict.fromkeys(stamp for stamp in stamps if not stamp.startswith(NOT_TESTED))
    return [*kept, *([f"{NOT_TESTED}: {', '.join(untested)}"] if untested else [])]


def untested(summary: Mapping[str, Any]) -> list[str]:
    """List the classes without a test utterance."""
    return sorted(name for name, row in summary.get("per_class", {}).items() if not row["support"])


def write_split(fold: RunFolder, data: "SpeechData") -> None:
    """Write the utterances of train, dev and test, and the findings of the audit."""
    write_splits([data.split], data.labelled.manifest, fold.path / SPLIT, data.plan.protocol)
    write_json([{"fold": data.fold, **finding.plain()} for finding in data.findings], fold.path / AUDIT)
