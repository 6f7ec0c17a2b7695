"""A model as a folder to share: tensors in safetensors, the rest as JSON, so that reading one from a stranger runs no code.

``model.safetensors`` holds the tensors of a checkpoint (`ser.models.checkpoint`) by their place in it, such as
``state_dict/head.1.weight``; ``config.json`` everything else, with the SHA-256 of the other files; ``model.skops`` the
pipeline of a classical model. Classes are named, and only those of ``ser`` itself, and of the libraries whose estimators
it fits, are looked for.

Source of the format of tensors: https://huggingface.co/docs/safetensors (Apache 2.0).
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from ser.errors import ConfigError, RunError
from ser.models.published_files import FACTS, PIPELINE, WEIGHTS
from ser.runtime.files import replacing, sha256_of, write_json
from ser.runtime.packages import of_extra

FORMAT = 1
"""Increased when a reader of the former one would misunderstand it."""
ABOUT = ("format", "files", "written_by")
"""Entries of `FACTS` that are no part of a checkpoint."""
PIPELINE_AT = "state_dict/_extra_state/pipeline"
"""Place of what `PIPELINE` holds."""
TENSORS_AT = ("state_dict", "ser_familiar", "ser_adapted")
"""Parts of a checkpoint that hold tensors."""
MOST_FACTS = 2**24
"""In bytes: the facts of a model are a few thousand."""
SPARE = 2**20
"""Weights that a net may make, and replace, beside four times those that it keeps."""

OWN = re.compile(r"ser\.(models|features|cleaning|baselines)(\.[A-Za-z]\w*)+")
"""Classes of this library that a published model may name."""
ESTIMATORS = re.compile(r"(sklearn|xgboost)(\.[A-Za-z]\w*)+")
"""Estimators of a classical model that it may name; a fitted one is of the known types of `ser.baselines.fitted`."""
AGAIN = "Download it again, or ask its author to publish it again."


def write_published(checkpoint: Mapping[str, Any], folder: Path, versions: Mapping[str, str]) -> None:
    """Write a checkpoint as a published model.

    Args:
        checkpoint: Whole, of a finished training.
        folder: Exists.
        versions: Of the packages that it was written with, by their names.

    Raises:
        ConfigError: If a class is not one that a published model may name, something is neither a tensor nor plain data,
            or safetensors is not installed.
    """
    if (strange := next(_strange_classes(checkpoint), None)) is not None:
        raise ConfigError(
            f"model must be of classes of ser alone to be published, since a folder from elsewhere must not run code; got "
            f"{strange}. Add the class to ser (docs/extending.md), or share its code with its checkpoint."
        )
    tensors: dict[str, Tensor] = {}
    facts = _plain(checkpoint, "", tensors)
    pipeline = tensors.pop(PIPELINE_AT, None)
    separate = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    save_file = of_extra("safetensors.torch", "hub", "Published models").save_file
    with replacing(folder / WEIGHTS) as unfinished:
        save_file(separate, unfinished, {"format": "pt"})
    if pipeline is not None:
        with replacing(folder / PIPELINE) as unfinished:
            unfinished.write_bytes(pipeline.cpu().numpy().tobytes())
    names = [WEIGHTS, *([] if pipeline is None else [PIPELINE])]
    files = {name: sha256_of(folder / name) for name in names}
    write_json({"format": FORMAT, "files": files, "written_by": dict(versions), **facts}, folder / FACTS)


def read_published(file: Path) -> dict[str, Any]:
    """Read a published model as a checkpoint.

    Args:
        file: Its `FACTS`; the other files are beside it.

    Raises:
        RunError: If a file is missing or damaged, or it names a class that it may not.
        ConfigError: If safetensors is not installed.
    """
    facts = _facts(file)
    checkpoint = {name: value for name, value in facts.items() if name not in ABOUT}
    if (strange := next(_strange_classes(checkpoint), None)) is not None:
        raise RunError(
            f"{file} must name classes of ser, or estimators of scikit-learn or XGBoost; got {strange}, which is not looked "
            "for. Ask its author for the code and a checkpoint, and use them only if you trust both."
        )
    if any(_wants_an_encoder(part, above) for part, above in _mappings(checkpoint, {})):
        raise RunError(f"{file} must describe its pretrained encoder; it only names one. {AGAIN}")
    _check_files(file, facts["files"])
    for name, tensor in _tensors(file.with_name(WEIGHTS)).items():
        _put(checkpoint, name, tensor, file)
    if PIPELINE in facts["files"]:
        _put(checkpoint, PIPELINE_AT, _pipeline_bytes(file.with_name(PIPELINE)), file)
    return checkpoint


@contextmanager
def no_more_weights_than(state: Mapping[str, Any]) -> Iterator[None]:
    """Refuse to make a net that is much larger than its stored weights, before its memory is used.

    Raises:
        RuntimeError: By the constructor of a net inside the block.
    """
    stored = sum(value.numel() for value in state.values() if isinstance(value, Tensor))
    made, thread = 0, threading.get_ident()

    def count(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal made
        if threading.get_ident() == thread and parameter is not None:
            made += parameter.numel()
            if made > 4 * stored + SPARE:
                raise RuntimeError(f"its settings make {made} weights or more, and {stored} are stored.")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


# ---- classes


def _strange_classes(checkpoint: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a checkpoint names that a published model may not."""
    if not OWN.fullmatch(str(checkpoint.get("ser_model"))):
        yield str(checkpoint.get("ser_model"))
    for part, _ in _mappings(checkpoint, {}):
        named = [str(part[key]) for key in ("_target_", "regressor") if part.get(key) is not None]
        yield from (path for path in named if not (OWN.fullmatch(path) or ESTIMATORS.fullmatch(path)))


def _wants_an_encoder(part: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    """Whether settings name a pretrained encoder without its architecture: building it would download it."""
    if "sha256" in part or not ("checkpoint" in part or "encoder" in part):
        return False
    inside = "checkpoint" in part and "_target_" not in part  # settings of an encoder, in those of its model
    return not isinstance((above if inside else part).get("architecture"), Mapping)


def _mappings(value: Any, above: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield every mapping in plain data, each with the one that it is in."""
    if isinstance(value, Mapping):
        yield value, above
        for part in value.values():
            yield from _mappings(part, value)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _mappings(part, above)


# ---- writing


def _plain(value: Any, at: str, tensors: dict[str, Tensor]) -> Any:
    """Return a part of a checkpoint as plain JSON, and add the tensors in it to others, by their place."""
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str) or "/" in key]:
            raise ConfigError(f"{at or 'model'} must have names without / in it; got {wrong[0]!r}. Rename it.")
        inside = {key: f"{at}/{key}".lstrip("/") for key in value}
        tensors |= {inside[key]: part for key, part in value.items() if isinstance(part, Tensor)}
        return {k: _plain(part, inside[k], tensors) for k, part in value.items() if not isinstance(part, Tensor)}
    if isinstance(value, list | tuple):
        return [_plain(part, at, {}) for part in value]
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and isfinite(value)):
        return value
    raise ConfigError(f"{at} must be plain data (text, finite numbers, lists) to be published; got {value!r:.80}.")


# ---- reading


def _facts(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MOST_FACTS:
            raise RunError(f"{file} must have at most {MOST_FACTS} bytes; got {file.stat().st_size}. {AGAIN}")
        facts = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise RunError(f"There is no {file}, which describes a published model. {AGAIN}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{file} must be JSON; got a damaged file. {AGAIN}") from error
    if not isinstance(facts, dict) or "ser_model" not in facts or not isinstance(facts.get("files"), dict):
        raise RunError(
            f"{file} must describe a model that python -m ser.publish wrote; got something else, such as a model of another "
            "library. Give the folder of a published model, or of a run."
        )
    if facts.get("format") != FORMAT:
        raise RunError(f"{file} must be of format {FORMAT}; got {facts.get('format')!r:.20}. Install a newer ser.")
    return facts


def _check_files(file: Path, expected: Mapping[str, Any]) -> None:
    if WEIGHTS not in expected or not expected.keys() <= {WEIGHTS, PIPELINE}:
        raise RunError(f"{file} must list {WEIGHTS}, and at most {PIPELINE}; got {', '.join(expected)}. {AGAIN}")
    for name, digest in expected.items():
        beside = file.with_name(name)
        if not beside.is_file():
            raise RunError(f"There is no {beside}, which is a part of the model. {AGAIN}")
        if sha256_of(beside) != digest:
            raise RunError(f"{beside} must be as {FACTS} says (SHA-256); got a damaged or another file. {AGAIN}")


def _tensors(file: Path) -> dict[str, Tensor]:
    safetensors = of_extra("safetensors", "hub", "Published models")
    load_file = of_extra("safetensors.torch", "hub", "Published models").load_file
    try:
        found: dict[str, Tensor] = load_file(file)
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise RunError(f"{file} must hold tensors in safetensors; got a damaged file ({error}). {AGAIN}") from error
    return found


def _pipeline_bytes(file: Path) -> Tensor:
    """Return what skops stores, which compresses nothing: what is read is no larger than the file."""
    try:
        with ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise RunError(f"{file} must be an archive of skops; got a damaged file. {AGAIN}") from error
    if unpacked > file.stat().st_size:
        raise RunError(f"{file} must not be compressed; got {unpacked} bytes in {file.stat().st_size}. {AGAIN}")
    return torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.uint8)


def _put(checkpoint: dict[str, Any], name: str, value: Tensor, file: Path) -> None:
    """Put a tensor in its place in a checkpoint."""
    *above, last = name.split("/")
    at: Any = checkpoint
    for key in above:
        at = at.setdefault(key, {}) if isinstance(at, dict) else None
    if not above or above[0] not in TENSORS_AT or not isinstance(at, dict) or last in at:
        raise RunError(f"{file.with_name(WEIGHTS)} must hold the tensors of {file.name}; got {name!r:.80}. {AGAIN}")
    at[last] = value
