"""A run's result card, ``card.json`` and ``card.html``: the numbers, their uncertainty, and how they were obtained.

Every fact in it is read from the run's own files, whose SHA-256 it holds, so `ser.runs.verification` can rebuild it and find
later changes.

Source of the idea: Mitchell et al., 2019, Model cards for model reporting, https://doi.org/10.1145/3287560.3287596.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from ser.corpora.corpus import Corpus
from ser.errors import RunError
from ser.runs.card_page import render
from ser.runs.folder import CARD, CONFIG, OF_CARD, PAGE, PREDICTIONS, RunFolder
from ser.runs.identity import data_of, model_name
from ser.runtime.files import write_text
from ser.runtime.instantiate import find_class

Card = dict[str, Any]
"""Plain JSON."""

SCHEMA = 2
"""Increased when the meaning of an entry changes. Under schema 1, each of several folds had its own card."""
CORPUS_FACTS = ("title", "language", "material", "licence", "citation", "doi", "homepage", "notes", "synthetic")
LATER_FACTS = ("language", "material", "notes")
"""Those that older cards lack, or that change as more is known about a corpus."""
FOLD_FACTS = ("epochs", "best_epoch", "dev_uar", "dev_ccc", "chosen")
TRAINING_FACTS = ("seed", "parameters", "encoder", "foreign", "features", *FOLD_FACTS, "train_seconds")
LEFT_OUT_FACTS = ("utterance", "kind", "detail")
"""Facts about a file that was left out, without its path, which is of one machine."""


def write_card(
    run: RunFolder,
    left_out: Sequence[Mapping[str, Any]] | None = None,
    remarks: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Card:
    """Write ``card.json`` and ``card.html`` into the folder of a finished run, each whole or not at all.

    Args:
        run: A finished run.
        left_out: The corpora's files that the run could not use, as the stores' cards list them; ``None`` if they were not
            recorded.
        remarks: How each corpus was read, by its name; they follow its notes.

    Raises:
        RunError: If the run is not finished, or a file cannot be read.
    """
    if not run.has(PREDICTIONS):
        raise RunError(f"There is no {run.path / PREDICTIONS}. Give the folder of a finished run.")
    when = datetime.now(UTC).isoformat(timespec="seconds")
    card = describe(run, when, left_out, config_of(run))
    for corpus in card["corpora"]:
        corpus["notes"] = [*corpus.get("notes", []), *remarks.get(corpus["name"], [])]
    write_text(render(card, run), run.path / PAGE)
    card["files"] = hashes(run)
    write_text(_as_json(card), run.path / CARD)
    return card


def describe(
    run: RunFolder, when: str, left_out: Sequence[Mapping[str, Any]] | None, config: Mapping[str, Any] | None
) -> Card:
    """Return the content of a card, without ``files``, from the files of a run.

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
        "corpora": declared_facts(about["corpora"], config),
        "fingerprint": about["fingerprint"],
        "left_out": None if left_out is None else [{k: p[k] for k in LEFT_OUT_FACTS if k in p} for p in left_out],
        "labels": about["labels"],
        "classes": numbers.get("classes") or numbers["dimensions"],
        "protocol": {
            "name": about["protocol"],
            "source": (config or {}).get("protocol", {}).get("source"),
            **({"folds": about["folds"]} if "folds" in about else {}),
        },
        "split": about["splits"],
        "numbers": numbers,
        **({"without_listening": about["without_listening"]} if "without_listening" in about else {}),
        "training": _training(run),
        "profile": _without_rows(run.profile),
        "audit": run.audit,
        "environments": [e for i, e in enumerate(environments) if e is not None and e not in environments[:i]],
        "config": config,
    }
    plain: Card = json.loads(_as_json(card))
    return plain


def hashes(run: RunFolder, schema: int = SCHEMA) -> dict[str, str]:
    """Return the SHA-256 of each file that a card covers, by its path in the run's folder."""
    below = [fold.path.name for fold in run.folds if fold is not run]
    names = [*OF_CARD, *(f"{fold}/{CARD}" for fold in below)]
    names += [f"{fold}/{name}" for fold in below for name in OF_CARD if schema > 1]
    found = {}
    for name in sorted(names):
        if run.has(name):
            with (run.path / name).open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def config_of(run: RunFolder) -> dict[str, Any] | None:
    """Return the settings that identify a run; ``None`` if it has no ``config.yaml``."""
    return run.config if run.whole.has(CONFIG) else None


def _title(about: Mapping[str, Any], config: Mapping[str, Any] | None) -> str:
    """Return a title such as ``CNN on ravdess, luna5, fold 0``, or ``CNN trained on ravdess, tested on savee, ...``."""
    model = (config or {}).get("model")
    folds = list(about["splits"])
    on = f"{data_of(about)}, {about['protocol']}, "
    on += f"fold {folds[0]}" if len(folds) == 1 else f"all {len(folds)} folds"
    if not model:
        return on
    name, kind = model_name(model), str(model.get("_target_")).rpartition(".")[2]
    return f"{kind if kind.lower() == name else name} {'' if 'tested_on' in about else 'on '}{on}"


def _training(run: RunFolder) -> dict[str, Any]:
    """Return facts about the training; of several folds, ``folds`` has the epochs of each."""
    facts = {fact: run.about[fact] for fact in TRAINING_FACTS if fact in run.about}
    if len(run.folds) > 1:
        facts["folds"] = {
            number: {fact: fold.about[fact] for fact in FOLD_FACTS if fact in fold.about}
            for fold in run.folds
            for number in fold.about["splits"]
        }
    return facts


def declared_facts(names: Sequence[str], config: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return each corpus's name and, if the configuration names its class, the facts that the class declares."""
    declared = (config or {}).get("data", {}).get("corpora", {})
    kinds = {name: find_class(str(declared[name]["_target_"]), Corpus) for name in names if name in declared}
    return [
        {"name": name, **({fact: getattr(kinds[name], fact) for fact in CORPUS_FACTS} if name in kinds else {})}
        for name in names
    ]


def _without_rows(profile: Any) -> Any:
    """Return a profile without its tables, which are lists of rows."""
    if not isinstance(profile, dict):
        return profile
    kept = {key: _without_rows(value) for key, value in profile.items() if not isinstance(value, list)}
    return {key: value for key, value in kept.items() if value != {}}


def _as_json(card: Mapping[str, Any]) -> str:
    return json.dumps(card, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
