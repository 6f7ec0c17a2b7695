"""A run's folder: made once, found again to go on, and with a record of the environment in it."""

import json
import logging
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from ser.errors import ConfigError, RunError
from ser.runtime.files import replacing

log = logging.getLogger(__name__)

RECORDED = (
    "ser",
    "torch",
    "torchaudio",
    "lightning",
    "torchmetrics",
    "numpy",
    "pandas",
    "scikit-learn",
    "soundfile",
    "soxr",
    "transformers",
    "peft",
)
ELSEWHERE = ("ckpt", "paths", "logger", "workers", "resident", "sweep", "retries")
"""Where a training runs and what is written where: nothing that a result depends on."""
IDENTITY_IGNORES = (*ELSEWHERE, "test", "space")
"""Settings that two runs may differ in and still be the same run, gone on with."""


def model_name(model: Mapping[str, Any]) -> str:
    """What to call a model in the names of runs: its checkpoint's name, or its class.

    Example:
        >>> model_name({"_target_": "ser.models.cnn.CNN"})
        'cnn'
        >>> model_name({"_target_": "ser.models.pretrained.Pretrained", "checkpoint": "openai/whisper-base"})
        'whisper-base'
    """
    if model.get("checkpoint"):
        return Path(str(model["checkpoint"])).name
    return str(model["_target_"]).rpartition(".")[2].lower()


def run_name(config: Mapping[str, Any]) -> str:
    """``ravdess-cnn-luna5``: corpora, model and protocol."""
    protocol = config["protocol"].get("name") or str(config["protocol"]["_target_"]).split(".")[-2]
    return f"{'+'.join(config['data']['corpora'])}-{model_name(config['model'])}-{protocol}"


def new_folder(runs: Path, name: str) -> Path:
    """Make ``runs/<name>-<date>-<time>``, with a number behind it if that is taken."""
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in range(1000):
        folder = runs / (stem if not number else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise RunError(f"{runs} holds a thousand runs that began this second.")


def identity(config: Mapping[str, Any]) -> str:
    """What makes two configurations the same run, as text; where corpora lie does not."""
    kept = {key: value for key, value in config.items() if key not in IDENTITY_IGNORES}
    data = config.get("data") or {}
    corpora = {name: {k: v for k, v in each.items() if k != "root"} for name, each in data.get("corpora", {}).items()}
    kept["data"] = {**data, "corpora": corpora}
    ignored = ("enable_progress_bar", "accelerator")
    kept["trainer"] = {key: value for key, value in (kept.get("trainer") or {}).items() if key not in ignored}
    return json.dumps(kept, sort_keys=True)


def newest_like(runs: Path, config: Mapping[str, Any]) -> Path:
    """The newest run folder that was made by this configuration and can be gone on with.

    Raises:
        RunError: If there is none.
    """
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    wanted = identity(config)
    for file in sorted(runs.glob("*/config.yaml"), key=lambda f: f.stat().st_mtime, reverse=True):
        try:
            found = identity(read_config(file.parent))
        except (RunError, OmegaConfBaseException, YAMLError):
            log.warning("%s is no configuration of a run, and is passed over.", file)
            continue
        if found == wanted:
            return file.parent
    raise RunError(
        f"ckpt=last: no run under {runs.resolve()} was made by this configuration. Give the same overrides as the run that "
        "stopped had, or its folder: paths.run=runs/..."
    )


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved configuration that a run's folder keeps.

    Raises:
        RunError: If there is none.
    """
    from omegaconf import OmegaConf

    file = folder / "config.yaml"
    if not file.is_file():
        raise RunError(f"{folder} has no config.yaml: is it a run's folder?")
    config = OmegaConf.to_container(OmegaConf.load(file))
    if not isinstance(config, dict):
        raise RunError(f"{file} does not hold a configuration.")
    return {str(key): value for key, value in config.items()}


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Keep the resolved configuration.

    Raises:
        ConfigError: If the folder holds a run of another configuration.
    """
    from omegaconf import OmegaConf

    file = folder / "config.yaml"
    if file.exists() and identity(read_config(folder)) != identity(config):
        raise ConfigError(f"{folder} holds a run of another configuration. Choose another paths.run, or none.")
    with replacing(file) as unfinished:
        unfinished.write_text(OmegaConf.to_yaml(OmegaConf.create(dict(config))))


def environment(seed: int, fingerprint: str, device: str) -> dict[str, Any]:
    """Versions, git revision, seed, data fingerprint and device."""
    versions = {}
    for package in RECORDED:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "git": git_revision(Path(__file__).parent),
        "seed": seed,
        "data": fingerprint,
        "device": device,
        "command": sys.argv[1:],
    }


def git_revision(folder: Path) -> str | None:
    """The commit that a checkout is at, with ``+changes`` where files differ from it; ``None`` outside a checkout."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


FILE_ONLY = {"file_only": True}
"""As ``extra`` of a log call: the terminal does not get it."""


def _is_for_people(record: logging.LogRecord) -> bool:
    return not hasattr(record, "file_only") and (record.name.startswith("ser") or record.levelno >= logging.ERROR)


@contextmanager
def logging_to(file: Path, *, terminal: bool = True) -> Iterator[None]:
    """Write the log of ``ser`` and of Lightning, and warnings, to a file, and unless it is to be quiet to the terminal."""
    from rich import get_console
    from rich.logging import RichHandler

    loggers = [logging.getLogger(name) for name in ("ser", "lightning.pytorch", "py.warnings")]
    to_file = logging.FileHandler(file)
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    to_terminal = RichHandler(show_time=False, show_path=False, show_level=False)
    to_terminal.addFilter(_is_for_people)
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.handlers = [to_file, to_terminal]
        logger.propagate = False
    console = get_console()
    was_quiet, console.quiet = console.quiet, not terminal
    try:
        yield
    finally:
        console.quiet = was_quiet
        for logger in loggers:
            logger.handlers = []
        to_file.close()
