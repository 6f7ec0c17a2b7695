"""The test clips of a finished run, scored by a model that was exported from it: what the export, or integers, cost."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich import get_console

from ser.datamodules.data import SpeechData
from ser.errors import RunError
from ser.evaluation import predictions
from ser.evaluation.intervals import difference_interval
from ser.evaluation.measure import measure_of
from ser.inference.onnx import OnnxScorer
from ser.inference.score import SECONDS_A_BATCH, answers_table
from ser.inference.scorer import Clips
from ser.report.format import with_interval, writer
from ser.rescoring.recompute import rebuilt_data
from ser.runs.folder import RunFolder
from ser.runtime.files import sha256_of
from ser.runtime.words import counted


def compare_exported(folder: Path, file: Path, corpora: str, stores: str) -> None:
    """Print the main score of an exported model on the test clips of its fold, beside that of the checkpoint.

    Args:
        folder: The run's folder, of one fold or of all.
        file: A file of ``python -m ser.export`` in ONNX.
        corpora: See `ser.rescoring.recompute.recompute`.
        stores: As there.

    Raises:
        RunError: If the file was not exported from a checkpoint of the run, or the run is incomplete.
    """
    scorer = OnnxScorer(file)
    fold = fold_of(RunFolder(folder), scorer)
    ((data, _),) = rebuilt_data(fold, corpora, stores)
    exported = score_exported(scorer, data, data.split.test)
    own = fold.predictions.set_index("utterance").loc[exported["utterance"]].reset_index()
    measure, write = measure_of(own), writer(measure_of(own))
    _, sums = measure.by_speaker(own)
    _, others = measure.by_speaker(exported)
    difference, interval = difference_interval(others, sums, measure.statistic, bounds=measure.bounds)
    apart = np.abs(predictions.probabilities(exported) - predictions.probabilities(own)).max()
    moved = "" if measure.numeric else f", {counted(_moved(own, exported), 'clip')} of {len(own)} with another class"
    get_console().print(
        f"{measure.name} {write(float(measure.statistic(others.sum(axis=0))), '')} of {file.name}, "
        f"{write(float(measure.statistic(sums.sum(axis=0))), '')} of {fold.path}: "
        f"{with_interval(difference, interval.low, interval.high, signed=True, write=write)}\n"
        f"Answers are at most {apart:.2g} apart{moved}.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def fold_of(run: RunFolder, scorer: OnnxScorer) -> RunFolder:
    """Return the fold of a run whose checkpoint a model was exported from.

    Raises:
        RunError: If there is none.
    """
    for fold in run.folds:
        if sha256_of(fold.checkpoint) == scorer.checkpoint_sha256:
            return fold
    raise RunError(f"exported must be a file from a checkpoint of {run.path}; got {scorer.name}, from another.")


def score_exported(scorer: OnnxScorer, data: SpeechData, rows: np.ndarray) -> pd.DataFrame:
    """Return the predictions of an exported model for some utterances, as `ser.inference.score.score` does of a model."""
    longest = int(data.labelled.manifest["length"].iloc[rows].max())
    size = max(1, int(SECONDS_A_BATCH * scorer.audio.sample_rate / longest))
    position = np.full(len(data.labelled.manifest), -1)
    position[rows] = np.arange(len(rows))
    scored = np.full((len(rows), len(data.classes)), np.nan)
    data.use_waveforms()
    for batch in data.batches(rows, torch.device("cpu"), size):
        clips = Clips(batch.waveform.numpy(), batch.lengths.numpy())
        scored[position[batch.index.numpy()]] = scorer.score(clips).answers
    return answers_table(data, rows, scored)


def _moved(own: pd.DataFrame, exported: pd.DataFrame) -> int:
    """Return how many clips have another most probable class."""
    classes = (predictions.probabilities(table).argmax(axis=1) for table in (own, exported))
    return int(np.not_equal(*classes).sum())
