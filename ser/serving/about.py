"""What is known of a model and its training, for those who ask a server, or open a page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.errors import RunError
from ser.evaluation.measure import measure_in
from ser.inference.scorer import Scorer
from ser.protocols.limits import NOT_FOR
from ser.runs.folder import RunFolder

Facts = Mapping[str, Any]
CORPUS_FACTS = ("name", "title", "language", "material", "licence", "synthetic")


def about_of(name: str, scorer: Scorer, facts: Facts) -> dict[str, Any]:
    """Return what is known of a model; see `ser.serving.answers.Model`."""
    return {
        "name": name,
        "classes": list(scorer.classes),
        "numeric": scorer.numeric,
        "sample_rate": scorer.audio.sample_rate,
        "calibrated": scorer.calibration is not None,
        "stamps": list(scorer.stamps),
        "not_for": NOT_FOR,
        "trained_on": facts.get("trained_on") or list(scorer.trained_on) or None,
        "score": facts.get("score"),
    }


def training_facts(path: Path) -> Facts:
    """Return the corpora of a run, and its score on unknown speakers; nothing of a checkpoint alone."""
    if not path.is_dir():
        return {}
    try:
        run = RunFolder(path)
        card = run.whole.card or {}
        measure, numbers = measure_in(run.metrics), run.metrics
    except RunError:  # a run whose test is not finished has a model all the same
        return {}
    corpora = card.get("corpora") or [{"name": name} for name in run.about["corpora"]]
    trained = run.about.get("trained_on")
    return {
        "trained_on": [
            {fact: corpus[fact] for fact in CORPUS_FACTS if fact in corpus}
            for corpus in corpora
            if trained is None or corpus["name"] in trained
        ],
        "score": {
            "name": measure.name,
            "value": numbers[measure.key],
            "interval": numbers.get(f"{measure.key}_interval"),
        },
    }
