"""Which clips of a run are explained, towards which output, and what is said above them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ser.errors import ConfigError
from ser.evaluation import predictions
from ser.pictures import charts
from ser.pictures.explained import Explained
from ser.report.format import percent

CLIPS = 8
"""Clips that are shown singly."""


def explained_rows(shown: Explained, output: int, most: int, seed: int) -> np.ndarray:
    """Return positions in the table of the clips that are averaged for an output: a random sample of those predicted so."""
    if shown.model.numeric:
        rows = np.arange(len(shown.table))
    else:
        rows = np.flatnonzero(predictions.predicted_indices(shown.table) == output)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])


def clips_shown(shown: Explained, plain: Mapping[str, Any]) -> list[int]:
    """Return positions in the table of the clips that are shown singly.

    Raises:
        ConfigError: If ``clip`` is none of the side.
    """
    if plain["clip"] is not None:
        found = np.flatnonzero((shown.table["utterance"] == plain["clip"]).to_numpy())
        if not found.size:
            raise ConfigError(
                f"clip must be a {shown.side} utterance of the fold, such as {shown.table['utterance'].iloc[0]}; got "
                f"{plain['clip']}. Look its id up in predictions.parquet, or set side."
            )
        return [int(found[0])]
    if shown.model.numeric:
        return []
    given, target = predictions.probabilities(shown.table), predictions.target_indices(shown.table)
    right = predictions.predicted_indices(shown.table) == target
    best = [np.where(right & (target == i), given[:, i], -1.0) for i in range(len(shown.model.classes))]
    return [int(p.argmax()) for p in best if p.max() > 0][:CLIPS]


def outputs_of(shown: Explained, where: Sequence[int]) -> Tensor:
    """Return the output of each clip that is explained: the predicted class, or the first number."""
    if shown.model.numeric:
        return torch.zeros(len(where), dtype=torch.int64)
    return torch.from_numpy(predictions.predicted_indices(shown.table)[np.array(where)])


def title(shown: Explained, at: int, output: int) -> str:
    """Return what stands above a clip: the answer, its probability, and the target where that is another."""
    name = shown.model.classes[output]
    if shown.model.numeric:
        return name
    probability = percent(predictions.probabilities(shown.table)[at, output])
    target = shown.table["target"].iloc[at]
    wrong = "" if target == name else f"\nwas {charts.short(target)}"
    return f"{charts.short(name)}\n{probability}{wrong}"


def unit_of(shown: Explained) -> str:
    """Return the unit of the outputs, as a label."""
    return "deviations" if shown.model.numeric else "logits"


def output_kind(shown: Explained) -> str:
    """Return what an output is, in words."""
    return "number" if shown.model.numeric else "predicted class"
