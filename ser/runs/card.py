"""A run's result card, ``card.json`` and ``card.html``: what was measured, on what and how, and how sure it is.

Every fact in it is read from the run's own files, whose SHA-256 it holds, so that `ser.runs.verification` can rebuild it and
see whether anything was changed since.

The idea of a card: Mitchell et al., 2019, Model cards for model reporting, https://doi.org/10.1145/3287560.3287596.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ser.corpora.corpus import Corpus
from ser.errors import RunError
from ser.runs.card_page import render
from ser.runs.folder import (
    AUDIT,
    BEST,
    CARD,
    CONFIG,
    CONFUSION,
    CURVES,
    DEV_PREDICTIONS,
    ENVIRONMENT,
    HISTORY,
    METRICS,
    PAGE,
    PREDICTIONS,
    PROFILE,
    SPLIT,
    RunFolder,
)
from ser.runs.identity import model_name
from ser.runtime.files import replacing
from ser.runtime.instantiate import find_class

Card = dict[str, Any]
"""Plain JSON."""

SCHEMA = 2
"""Raised when a reader of older cards would misread a newer one. Under schema 1, each of several folds had its own card."""
FILES = (
    AUDIT,
    BEST,
    CONFIG,
    CONFUSION,
    CURVES,
    DEV_PREDICTIONS,
    ENVIRONMENT,
    HISTORY,
    METRICS,
    PAGE,
    PREDICTIONS,
    PROFILE,
    SPLIT,
)
"""What a card holds the SHA-256 of, in the run's folder and in those of its folds, where it is there."""
CORPUS_FACTS = ("title", "licence", "citation", "doi", "homepage", "notes", "synthetic")
TRAINING_FACTS = ("seed", "parameters", "encoder", "epochs", "best_epoch", "dev_uar", "train_seconds")
FOLD_FACTS = ("epochs", "best_epoch", "dev_uar")
LEFT_OUT_FACTS = ("utterance", "kind", "detail")
"""Of a file that was left out; not its path, which is on somebody's machine."""


def write_card(run: RunFolder, left_out: Sequence[Mapping[str, Any]] | None = None) -> Card:
    """Write ``card.json`` and ``card.html`` into the folder of a finished run, each whole or not at all.

    Args:
        run: A finished one.
        left_out: The files of the corpora that the run went without, as the stores' cards list their problems; ``None``
            where nobody recorded them.

    Returns:
        What ``card.json`` holds.

    Raises:
        RunError: If the run is not finished, or a file cannot be read.
    """
    if not run.has(PREDICTIONS):
        raise RunError(f"There is no {run.path / PREDICTIONS}. Give the folder of a finished run.")
    when = datetime.now(UTC).isoformat(timespec="seconds")
    card = describe(run, when, left_out, config_of(run))
    with replacing(run.path / PAGE) as unfinished:
        unfinished.write_text(render(card, run), encoding="utf-8")
    card["files"] = hashes(run)
    with replacing(run.path / CARD) as unfinished:
        unfinished.write_text(_as_json(card), encoding="utf-8")
    return card


def describe(
    run: RunFolder, when: str, left_out: Sequence[Mapping[str, Any]] | None, config: Mapping[str, Any] | None
) -> Card:
    """Gather everything that a card says, but for ``files``, from the files of a run.

    Raises:
        RunError: If a file is absent or cannot be read.
    """
    about = run.about
    numbers = {key: value for key, value in run.metrics.items() if key != "run"}
    environments = [fold.environment for fold in run.folds]
    card = {
        "schema": SCHEMA,
        "title": _title(about, config),
        "when": when,
        "stamps": about["stamps"],
        "corpora": _corpora(about["corpora"], config),
        "fingerprint": about["fingerprint"],
        "left_out": None if left_out is None else [{k: p[k] for k in LEFT_OUT_FACTS if k in p} for p in left_out],
        "labels": about["labels"],
        "classes": numbers["classes"],
        "protocol": {"name": about["protocol"], "source": (config or {}).get("protocol", {}).get("source")},
        "split": about["splits"],
        "numbers": numbers,
        "training": _training(run),
        "profile": _without_rows(run.profile),
        "audit": run.audit,
        "environments": [e for i, e in enumerate(environments) if e is not None and e not in environments[:i]],
        "config": config,
    }
    plain: Card = json.loads(_as_json(card))
    return plain


def hashes(run: RunFolder, schema: int = SCHEMA) -> dict[str, str]:
    """Take the SHA-256 of each file of a run that a card vouches for, by its path in the folder."""
    below = [fold.path.name for fold in run.folds if fold is not run]
    names = [*FILES, *(f"{fold}/{CARD}" for fold in below)]
    names += [f"{fold}/{name}" for fold in below for name in FILES if schema > 1]
    found = {}
    for name in sorted(names):
        if run.has(name):
            with (run.path / name).open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def config_of(run: RunFolder) -> dict[str, Any] | None:
    """Return what a run is by its ``config.yaml``; ``None`` where there is none."""
    return run.config if run.whole.has(CONFIG) else None


def _title(about: Mapping[str, Any], config: Mapping[str, Any] | None) -> str:
    """``CNN on ravdess, luna5, fold 0``."""
    model = (config or {}).get("model")
    folds = list(about["splits"])
    on = f"{'+'.join(about['corpora'])}, {about['protocol']}, "
    on += f"fold {folds[0]}" if len(folds) == 1 else f"all {len(folds)} folds"
    if not model:
        return on
    name, kind = model_name(model), str(model.get("_target_")).rpartition(".")[2]
    return f"{kind if kind.lower() == name else name} on {on}"


def _training(run: RunFolder) -> dict[str, Any]:
    """What training cost and chose; of several folds, ``folds`` has what each chose."""
    facts = {fact: run.about[fact] for fact in TRAINING_FACTS if fact in run.about}
    if len(run.folds) > 1:
        facts["folds"] = {
            number: {fact: fold.about[fact] for fact in FOLD_FACTS if fact in fold.about}
            for fold in run.folds
            for number in fold.about["splits"]
        }
    return facts


def _corpora(names: Sequence[str], config: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Each corpus's name and, where the configuration names its class, the facts that the class declares."""
    declared = (config or {}).get("data", {}).get("corpora", {})
    kinds = {name: find_class(str(declared[name]["_target_"]), Corpus) for name in names if name in declared}
    return [
        {"name": name, **({fact: getattr(kinds[name], fact) for fact in CORPUS_FACTS} if name in kinds else {})}
        for name in names
    ]


def _without_rows(profile: Any) -> Any:
    """A profile's single numbers: its tables, lists of rows, stay in the file."""
    if not isinstance(profile, dict):
        return profile
    kept = {key: _without_rows(value) for key, value in profile.items() if not isinstance(value, list)}
    return {key: value for key, value in kept.items() if value != {}}


def _as_json(card: Mapping[str, Any]) -> str:
    return json.dumps(card, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
