"""Names of the folders of sweeps and of their jobs: the same command finds its own again.

A job's folder is named by its configuration, so that a job that is there already is never run again, and one whose
settings have changed has another folder. A name can be typed into a command line as it stands: it holds letters, digits and
``-_+.`` only.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ser.errors import ConfigError
from ser.runs.identity import ELSEWHERE, fold_part, identity, run_name, safe
from ser.runtime.composition import quoted
from ser.runtime.devices import jobs_at_once
from ser.runtime.parts import fill_parts

LONGEST = 80
"""Characters of a sweep's name that are taken from its command."""
JOBS = "sweep.json"
NO_JOBS = (*ELSEWHERE, "hydra", "launcher")
"""Parts of the configuration that do not decide which jobs a sweep has."""


def job_name(config: Mapping[str, Any]) -> str:
    """Return ``ravdess-cnn-luna5-seed0-3fa94c12``: what is trained, and a hash of every setting that a result depends on."""
    return f"{run_name(config)}{fold_part(config)}-seed{config['seed']}-{_digest(identity(config))}"


def jobs_command(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that decide which jobs a sweep has, sorted; where it runs and what is written where do not.

    Example:
        >>> jobs_command(["model=cnn,bilstm", "launcher=joblib", "data=savee", "paths.corpora=/corpora"])
        ['data=savee', 'model=cnn,bilstm']
    """
    keys = {override: override.partition("=")[0].lstrip("+~").replace("/", ".") for override in overrides}
    return sorted(override for override, key in keys.items() if key.partition(".")[0] not in NO_JOBS)


def sweep_name(overrides: Sequence[str]) -> str:
    """Return ``data-ravdess+savee_model-cnn+bilstm-9f30c1d2``, a readable name and a hash of a `jobs_command`."""
    kept = jobs_command(overrides)
    readable = safe("_".join(kept).replace("=", "-").replace(",", "+"))[:LONGEST].strip("_")
    return f"{readable or 'defaults'}-{_digest(*kept)}"


def commands_of(folder: Path) -> list[dict[str, Any]]:
    """Return the commands that made a sweep's folder: ``command``, its overrides, and ``jobs``, overrides by folder name."""
    try:
        known: list[dict[str, Any]] = json.loads((folder / JOBS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return known


def resumed(arguments: Sequence[str]) -> list[str]:
    """Return a command line with ``sweep.resume=<folder>`` as the command that made the folder; any other unchanged.

    Other overrides replace those of the folder's command.

    Raises:
        ConfigError: If the folder is not a sweep's.
    """
    given = [argument for argument in arguments if not argument.startswith("sweep.resume=")]
    folders = [argument.partition("=")[2] for argument in arguments if argument.startswith("sweep.resume=")]
    if not folders or folders[-1] in ("", "null"):
        return list(arguments)
    folder = Path(folders[-1]).expanduser()
    if not (known := commands_of(folder)):
        raise ConfigError(
            f"sweep.resume must be the folder of a sweep; got {folder}, which has no {JOBS}. Choose one below multirun/."
        )
    keys = {argument.partition("=")[0] for argument in given}
    before = [override for override in known[-1]["command"] if override.partition("=")[0] not in keys]
    flag = [] if {"-m", "--multirun"} & keys else ["-m"]
    return [*flag, *before, *given, f"hydra.sweep.dir={quoted(str(folder.absolute()))}"]


def register() -> None:
    """Let Hydra's configuration use ``${sweep_name:}``, ``${job_name:}`` and ``${jobs_at_once:}``."""
    OmegaConf.register_new_resolver("sweep_name", lambda _root_: sweep_name(_root_.hydra.overrides.task), replace=True)
    OmegaConf.register_new_resolver("job_name", _job_name, replace=True)
    OmegaConf.register_new_resolver("jobs_at_once", jobs_at_once, replace=True)


def _job_name(_root_: DictConfig) -> str:
    task = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    fill_parts(task)  # a job and the sweep that plans it read this before and after it is done
    config = OmegaConf.to_container(task, resolve=True)
    assert isinstance(config, dict)
    return job_name({str(key): value for key, value in config.items()})


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]
