"""Recompute a finished run's numbers: from its stored predictions, or by scoring its test speakers again."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich import get_console

from ser.errors import DifferenceError, RunError
from ser.evaluation import predictions
from ser.evaluation.profile import profile
from ser.evaluation.summary import differences, summarise
from ser.report.tables import print_results, run_notes
from ser.runs.folder import DEV_PREDICTIONS, METRICS, PREDICTIONS, RunFolder
from ser.runtime.words import counted

if TYPE_CHECKING:
    from ser.datamodules.data import SpeechData
    from ser.models.classifier import SpeechClassifier

LOADING = {"resident": "auto", "workers": 0}
"""How data is loaded if the run's folder does not say."""
SAME_PROBABILITY = 1e-5
"""The largest difference between two scorings of a clip: about a hundred float32 roundings, from another device or batch."""


def recompute(folder: Path, corpora: str, stores: str, *, rescore: bool = False) -> None:
    """Print a run's numbers, recomputed from its predictions, and check them against its metrics.

    Args:
        folder: The run's folder, of one fold or of all.
        corpora: Folder to search for a corpus that is no longer where the run found it; for ``rescore``.
        stores: Folder of the prepared waveform stores; for ``rescore``.
        rescore: Score the test speakers again with the run's checkpoints, and use these predictions.

    Raises:
        RunError: If the run is incomplete.
        DifferenceError: If a number, target or probability differs from the stored one.
    """
    run = RunFolder(folder)
    stored, about, table, source = dict(run.metrics), run.about, run.predictions, PREDICTIONS
    stored.pop("run")
    if rescore:
        source = "the checkpoint"
        from ser.inference.score import score

        folds = rebuilt_folds(run, corpora, stores)
        table = pd.concat([score(model, data, data.split.test) for data, model, _ in folds], ignore_index=True)
        check_same_predictions(run.predictions, table, run)
    summary = summarise(table)
    beyond = profile(table, run.dev_predictions if run.has(DEV_PREDICTIONS) else None)
    title, stamps = f"{folder}, from {source}", tuple(about["stamps"])
    print_results(summary, beyond, title, stamps, run_notes(about, summary), run.dev_speakers)
    tolerance = (SAME_PROBABILITY if rescore else 1e-9) * predictions.scale_of(table)
    if changed := differences(stored, summary, tolerance):
        shown = "\n".join(f"  {difference}" for difference in changed[:20])
        raise DifferenceError(
            f"{folder / METRICS} must hold the numbers that {source} gives; got "
            f"{counted(len(changed), 'difference')}:\n{shown}"
        )
    get_console().print(f"All {_count(stored)} numbers of {METRICS} agree with {source}.")


def rebuilt_folds(
    run: RunFolder, corpora: str, stores: str, device: str = "cpu"
) -> "Iterator[tuple[SpeechData, SpeechClassifier, RunFolder]]":
    """Yield the data (set up), the model and the folder of each fold of a run; see `rebuilt_data`."""
    from ser.inference.load import load_model

    for data, fold in rebuilt_data(run, corpora, stores):
        yield data, load_model(fold.checkpoint, device), fold


def rebuilt_data(run: RunFolder, corpora: str, stores: str) -> "Iterator[tuple[SpeechData, RunFolder]]":
    """Yield the data (set up) and the folder of each fold of a run.

    Raises:
        RunError: If the corpus on disk differs from the one that the run was trained on.
    """
    from ser.protocols.plan import planned
    from ser.training.build import build_data

    config = {**LOADING, **run.settings, "paths": {**run.settings["paths"], "stores": stores}}
    for corpus in config["data"]["corpora"].values():
        if "root" in corpus and not Path(corpus["root"]).expanduser().exists():
            corpus["root"] = str(Path(corpora) / Path(corpus["root"]).name)
    plan = planned({**config, "strict": False})
    for fold in run.folds:
        (number,) = fold.splits
        data = build_data(config, plan, number)
        if plan.fingerprint != fold.about["fingerprint"]:
            raise RunError(
                f"The data of {fold.path} must have the fingerprint {fold.about['fingerprint']}; got {plan.fingerprint}. "
                "Give the recordings and settings that it was trained with: paths.corpora=<folder>."
            )
        yield data, fold


def check_same_predictions(old: pd.DataFrame, new: pd.DataFrame, run: RunFolder) -> None:
    """Check that a checkpoint still gives the stored predictions of a run.

    Raises:
        DifferenceError: Unless both have the same utterances, targets and, within rounding, probabilities.
    """
    keys = ["fold", "utterance"]
    one, two = (table.sort_values(keys).reset_index(drop=True) for table in (old, new))
    same = [*keys, *predictions.target_columns(one)]
    if list(one.columns) != list(two.columns) or not one[same].equals(two[same]):
        raise DifferenceError(
            f"{run.path / PREDICTIONS} must have the utterances and targets of the run's split; got others. "
            "Give a folder that was not changed after the run."
        )
    apart = abs(predictions.probabilities(one) - predictions.probabilities(two)).max(axis=1)
    most = SAME_PROBABILITY * predictions.scale_of(one)
    if (worst := apart.argmax()) is not None and apart[worst] > most:
        raise DifferenceError(
            f"{run.path / PREDICTIONS} must hold what the checkpoint gives; got differences in "
            f"{counted(int((apart > most).sum()), 'utterance')}, at most {apart[worst]:.2g} "
            f"({one['utterance'][worst]}). Give a folder that was not changed after the run."
        )


def _count(value: object) -> int:
    """Count the numbers in plain JSON."""
    if isinstance(value, dict):
        return sum(_count(v) for v in value.values())
    if isinstance(value, list):
        return sum(_count(v) for v in value)
    return int(isinstance(value, int | float) and not isinstance(value, bool))
