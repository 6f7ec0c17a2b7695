"""Which features a classical model rests on: permutation importances, and those that a forest has itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ser.baselines.classical import Classical
from ser.errors import RunError
from ser.evaluation.agreement import ccc, moments_by_group
from ser.evaluation.measure import measure_of
from ser.evaluation.metrics import confusion, uar
from ser.evaluation.predictions import TARGET, target_indices
from ser.features.functionals import Functionals, names_of
from ser.pictures import charts
from ser.pictures.album import Album
from ser.pictures.attribution import layer_below
from ser.pictures.explained import Explained
from ser.pictures.page import Section, Shown
from ser.report.format import writer

TITLE = "What the answers rest on"
REPEATS = 5
"""Shuffles of a feature whose losses are averaged."""


def importances_section(album: Album, shown: Explained, model: Classical, plain: Mapping[str, Any]) -> Section:
    """Draw the importances of the features of a classical model."""
    vectors, _ = layer_below(shown.model, shown.data, shown.rows, shown.own)
    groups, measure = grouped(model), measure_of(shown.table)
    whole, lost = permutation_importances(model, vectors, _targets(shown), groups, plain["seed"])
    points, unit = (1, "") if measure.numeric else (100, " (points)")
    rows = {name: (points * float(each.mean()), points * float(each.std())) for name, each in lost.items()}
    charts.bars(album, "permutation", "Permutation importance", f"{measure.name} lost{unit}", rows)
    pictures = [
        Shown("permutation", f"{measure.name} that is lost when a feature is shuffled between {shown.side} clips.")
    ]
    if own := _own_importances(model, groups):
        charts.bars(album, "importances", "Importance in the trees", "share of the impurity taken away (%)", own)
        pictures.append(Shown("importances", "What the trees themselves count, on training clips."))
    sentences = [
        f"Permutation importance (Breiman, 2001, https://doi.org/10.1023/A:1010933404324) is the {measure.name} of the "
        f"{shown.side} clips, {writer(measure)(whole)}, less that with a feature shuffled between them, averaged over "
        f"{REPEATS} shuffles; bars: one standard deviation. All statistics of a feature are shuffled together, since they "
        "can stand in for each other, as other features still can: a small loss does not say that a feature holds nothing.",
    ]
    return Section(TITLE, sentences, pictures)


def _targets(shown: Explained) -> np.ndarray:
    if shown.model.numeric:
        return shown.table[[f"{TARGET}{name}" for name in shown.model.classes]].to_numpy()
    return target_indices(shown.table)


def grouped(model: Classical) -> dict[str, list[int]]:
    """Return the columns of a vector by the feature that they are statistics of; single columns if there are none."""
    names = names_of(model.features)
    if not isinstance(model.features, Functionals):
        return {name: [at] for at, name in enumerate(names)}
    of = names_of(model.features.of)
    return {name: list(range(at, len(names), len(of))) for at, name in enumerate(of)}


def permutation_importances(
    model: Classical, vectors: np.ndarray, target: np.ndarray, groups: Mapping[str, Sequence[int]], seed: int
) -> tuple[float, dict[str, np.ndarray]]:
    """Return the UAR, or the CCC, and by how much it falls when the columns of each group are shuffled together.

    Shapes:
        - vectors: ``(clip, number)``, as the classifier gets them
        - target: ``(clip,)`` positions of classes, or ``(clip, number)`` in the unit of their training
        - returns: of each group ``(REPEATS,)``
    """
    fitted = model.fitted
    if fitted is None:
        raise RunError(f"{model.name} must be fitted to be explained. Give a finished run.")

    def score(x: np.ndarray) -> float:
        answers = model.answers(torch.from_numpy(fitted.outputs(x))).numpy()
        if model.numeric:
            return float(ccc(moments_by_group(target, answers, np.zeros(len(x)))[1].sum(axis=0)))
        return float(uar(confusion(target, answers.argmax(axis=1), len(model.classes))))

    whole, random = score(vectors), np.random.default_rng(seed)
    lost: dict[str, np.ndarray] = {}
    for name, columns in groups.items():
        each = np.empty(REPEATS)
        for repeat in range(REPEATS):
            shuffled = vectors.copy()
            shuffled[:, columns] = vectors[random.permutation(len(vectors))][:, columns]
            each[repeat] = whole - score(shuffled)
        lost[name] = each
    return whole, lost


def _own_importances(model: Classical, groups: Mapping[str, Sequence[int]]) -> dict[str, tuple[float, float]]:
    """Return the importances that a fitted forest has, in percent; nothing of other classifiers."""
    found = None if model.fitted is None else getattr(model.fitted.pipeline[-1], "feature_importances_", None)
    return {} if found is None else {name: (100 * float(found[columns].sum()), 0.0) for name, columns in groups.items()}
