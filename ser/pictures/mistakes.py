"""The surest mistakes of a run, to listen to."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import torch

from ser.datamodules.data import SpeechData
from ser.evaluation import predictions
from ser.pictures.explained import Explained
from ser.pictures.page import Rows, Section, Sound
from ser.report.format import decimal, percent
from ser.report.html import embedded
from ser.runtime.words import counted

KEEP = "Recordings are under the licence of their corpus: do not publish this page if it forbids that."


def mistakes_section(shown: Explained, plain: Mapping[str, Any]) -> Section:
    """Return the table of the surest mistakes; of numbers, of the largest errors."""
    where, found = mistaken(shown)
    title = "The largest errors" if shown.model.numeric else "The surest mistakes"
    if not len(where):
        return Section(title, [f"There is none: all {counted(len(shown.table), 'utterance')} are right."])
    most, wrong = plain["mistakes"], len(where)
    rows: list[list[str | Sound]] = []
    for at in where[:most]:
        line = shown.table.iloc[at]
        about = [str(line["utterance"]), str(line["speaker"])]
        rows.append([*about, *found[at], sound(shown.data, int(shown.rows[at]))])
    answers = (
        ["target", "predicted"]
        if shown.model.numeric
        else ["target", "its probability", "predicted", "its probability"]
    )
    table = Rows(["utterance", "speaker", *answers, "listen"], rows) if rows else None
    if shown.model.numeric:
        about_all = f"The first {len(rows)} of {counted(wrong, 'utterance')} by the error of {shown.model.classes[0]}."
    else:
        of = counted(len(shown.table), "utterance")
        about_all = f"{wrong} of {of} are wrong; the {len(rows)} with the highest probability of the wrong class."
    return Section(title, [about_all, *[KEEP] * bool(rows)], (), table)


def mistaken(shown: Explained) -> tuple[np.ndarray, dict[int, list[str]]]:
    """Return positions in the table of mistakes, the worst first, and what is said of each."""
    return (_largest_errors if shown.model.numeric else _surest)(shown.table)


def _surest(table: pd.DataFrame) -> tuple[np.ndarray, dict[int, list[str]]]:
    """Return the positions of wrong answers, the surest first, and what is said of each."""
    names, given = np.array(predictions.classes(table)), predictions.probabilities(table)
    target, predicted = predictions.target_indices(table), predictions.predicted_indices(table)
    wrong = np.flatnonzero(target != predicted)
    order = wrong[np.argsort(-given[wrong, predicted[wrong]], kind="stable")]
    said = {
        int(at): [
            names[target[at]],
            percent(given[at, target[at]]),
            names[predicted[at]],
            percent(given[at, predicted[at]]),
        ]
        for at in order
    }
    return order, said


def _largest_errors(table: pd.DataFrame) -> tuple[np.ndarray, dict[int, list[str]]]:
    """Return the positions of all answers, the largest error of the first number first, and what is said of each."""
    name = predictions.classes(table)[0]
    target, predicted = (table[f"{prefix}{name}"].to_numpy() for prefix in (predictions.TARGET, predictions.PREDICTED))
    order = np.argsort(-abs(target - predicted), kind="stable")
    return order, {int(at): [decimal(target[at]), decimal(predicted[at])] for at in order}


def sound(data: SpeechData, row: int) -> Sound:
    """Return a clip as a page plays it, as it is stored: mono, at the sampling rate of the model."""
    waveform = data.gather(torch.tensor([row]), torch.device("cpu")).waveform[0].numpy()
    file = BytesIO()
    soundfile.write(file, waveform, data.plan.settings.sample_rate, format="FLAC", subtype="PCM_16")
    return Sound(embedded(file.getvalue(), "audio/flac"))
