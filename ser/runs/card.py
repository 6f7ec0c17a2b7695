"""A run's result card, ``card.json`` and ``card.html``: what was measured, on what and how, and how sure it is.

Every fact in it is read from the run's own files, whose SHA-256 it holds, so that `ser.runs.verification` can rebuild it and
see whether anything was changed since.

The idea of a card: Mitchell et al., 2019, Model cards for model reporting, https://doi.org/10.1145/3287560.3287596.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ser.corpora.corpus import Corpus
from ser.errors import RunError
from ser.runs.card_page import render
from ser.runs.folder import CONFIG, RunFolder
from ser.runtime.files import replacing
from ser.runtime.instantiate import find_class

Card = dict[str, Any]
"""Plain JSON."""

SCHEMA = 1
"""Raised when a reader of older cards would misread a newer one."""
FILES = (
    "audit.json",
    "card.html",
    "checkpoints/best.ckpt",
    "config.yaml",
    "confusion_matrix.png",
    "dev_predictions.parquet",
    "environment.json",
    "metrics.csv",
    "metrics.json",
    "predictions.parquet",
    "profile.json",
    "split.json",
    "training_curves.png",
)
"""What a card holds the SHA-256 of, where it is there; and the cards of a run's folds."""
CORPUS_FACTS = ("title", "licence", "citation", "doi", "homepage", "notes", "synthetic")
TRAINING_FACTS = ("seed", "parameters", "encoder", "epochs", "best_epoch", "dev_uar", "train_seconds")
LEFT_OUT_FACTS = ("utterance", "kind", "detail")
"""Of a file that was left out; not its path, which is somebody's own."""


def write_card(folder: Path, left_out: Sequence[Mapping[str, Any]] | None = None) -> Card:
    """Write ``card.json`` and ``card.html`` into the folder of a finished run, each whole or not at all.

    Args:
        folder: Of one fold's run, or of a ``fold=all`` run whose folds have their cards.
        left_out: The files of the corpora that the run went without, as the stores' cards list their problems; ``None``
            where nobody recorded them.

    Returns:
        What ``card.json`` holds.

    Raises:
        RunError: If ``metrics.json`` or ``predictions.parquet`` lacks, or a file cannot be read.
    """
    if not (folder / "predictions.parquet").is_file():
        raise RunError(f"There is no {folder / 'predictions.parquet'}: a card is of a finished run.")
    when = datetime.now(UTC).isoformat(timespec="seconds")
    card = describe(folder, when, left_out, config_of(folder))
    with replacing(folder / "card.html") as unfinished:
        unfinished.write_text(render(card, folder), encoding="utf-8")
    card["files"] = hashes(folder)
    with replacing(folder / "card.json") as unfinished:
        unfinished.write_text(_as_json(card), encoding="utf-8")
    return card


def describe(
    folder: Path, when: str, left_out: Sequence[Mapping[str, Any]] | None, config: Mapping[str, Any] | None
) -> Card:
    """Gather everything that a card says, but for ``files``, from the files of a run.

    Raises:
        RunError: If a file lacks or cannot be read.
    """
    numbers = read_object(folder / "metrics.json")
    about = numbers.pop("run")
    split = split_hashes(about)
    environments = [read_optional(part / "environment.json") for part in folds_of(folder) or [folder]]
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
        "split": split,
        "numbers": numbers,
        "training": {fact: about[fact] for fact in TRAINING_FACTS if fact in about},
        "profile": _without_rows(read_optional(folder / "profile.json")),
        "audit": read_optional(folder / "audit.json"),
        "environments": [e for i, e in enumerate(environments) if e is not None and e not in environments[:i]],
        "config": config,
    }
    plain: Card = json.loads(_as_json(card))
    return plain


def hashes(folder: Path) -> dict[str, str]:
    """Take the SHA-256 of each file of a run that a card vouches for; by its path in the folder."""
    found = {}
    for name in sorted([*FILES, *(f"{part.name}/card.json" for part in folds_of(folder))]):
        if (folder / name).is_file():
            with (folder / name).open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def split_hashes(about: Mapping[str, Any]) -> dict[str, str]:
    """Name the hash of each fold's split, by the fold's number as text, from the ``run`` entry of a metrics.json.

    Example:
        >>> split_hashes({"fold": 3, "split_hash": "b45a"}), split_hashes({"split_hash": ["b45a", "07c1"]})
        ({'3': 'b45a'}, {'0': 'b45a', '1': '07c1'})
    """
    if "fold" in about:
        return {str(about["fold"]): about["split_hash"]}
    return {str(fold): split_hash for fold, split_hash in enumerate(about["split_hash"])}


def folds_of(folder: Path) -> list[Path]:
    """List the folders of a ``fold=all`` run's folds in their order; none for one fold's run."""
    numbered = [part for part in folder.glob("fold_*") if part.name.removeprefix("fold_").isdecimal()]
    return sorted(numbered, key=lambda part: int(part.name.removeprefix("fold_")))


def config_of(folder: Path) -> dict[str, Any] | None:
    """Read what a run is; ``None`` where it has no ``config.yaml``.

    Raises:
        RunError: If the file cannot be read.
    """
    run = RunFolder(folder)
    return run.config if run.whole.has(CONFIG) else None


def read_optional(path: Path) -> Any:
    """Read a JSON file; ``None`` where there is none.

    Raises:
        RunError: If it is not JSON.
    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is not JSON ({error}): it was cut short or changed after the run.") from error


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        RunError: If there is no such file, or it holds something else.
    """
    found = read_optional(path)
    if found is None:
        raise RunError(f"There is no {path}, which every finished run leaves.")
    if not isinstance(found, dict):
        raise RunError(f"{path} holds a {type(found).__name__}, not an object: it was changed after the run.")
    return found


def _title(about: Mapping[str, Any], config: Mapping[str, Any] | None) -> str:
    """``CNN on ravdess, luna5, fold 0``."""
    settings = (config or {}).get("model", {})
    model = str(settings.get("checkpoint") or settings.get("_target_", "").rpartition(".")[2])
    folds = f"fold {about['fold']}" if "fold" in about else f"all {len(split_hashes(about))} folds"
    return (f"{model} on " if model else "") + f"{'+'.join(about['corpora'])}, {about['protocol']}, {folds}"


def _corpora(names: Sequence[str], config: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Each corpus's name and, where the configuration names its class, the facts that the class declares."""
    declared = (config or {}).get("data", {}).get("corpora", {})
    kinds = {name: find_class(str(declared[name]["_target_"]), Corpus) for name in names if name in declared}
    return [
        {"name": name, **({fact: getattr(kinds[name], fact) for fact in CORPUS_FACTS} if name in kinds else {})}
        for name in names
    ]


def _without_rows(profile: Any) -> Any:
    """A profile's single numbers: its tables, lists of rows, stay in profile.json."""
    if not isinstance(profile, dict):
        return profile
    kept = {key: _without_rows(value) for key, value in profile.items() if not isinstance(value, list)}
    return {key: value for key, value in kept.items() if value != {}}


def _as_json(card: Mapping[str, Any]) -> str:
    return json.dumps(card, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
