"""Where metrics go while a run trains, beside the ``metrics.csv`` of every run: Weights & Biases or TensorBoard."""

import logging
import os
from collections.abc import Mapping, Sequence
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args
from urllib.parse import urlparse

import pandas as pd

from ser.errors import ConfigError

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

log = logging.getLogger(__name__)

Mode = Literal["online", "offline", "disabled"]
WANDB_SERVER = "https://api.wandb.ai"
WANDB_INIT_SECONDS = 60
"""How long to wait for the server before a run is logged offline instead."""


def loggers(
    config: Mapping[str, Any],
    folder: Path,
    run_name: str,
    group: str,
    settings: Mapping[str, Any],
    stamps: Sequence[str] = (),
) -> "list[Logger]":
    """The Lightning loggers of one run; none with ``logger=csv``.

    Args:
        config: The ``logger`` group.
        folder: The run's folder; everything is written below it.
        run_name: What trackers call the run.
        group: What trackers put runs of a kind under, unless the configuration says.
        settings: The run's whole configuration, which trackers show.
        stamps: Words that the run's results must carry: tags.

    Raises:
        ConfigError: If the logger is unknown, or its package is not installed.
    """
    if config["name"] == "csv":
        return []
    if config["name"] == "wandb":
        return [_wandb(config, folder, run_name, group, settings, stamps)]
    if config["name"] == "tensorboard":
        from lightning.pytorch.loggers import TensorBoardLogger

        try:
            return [TensorBoardLogger(folder, name="", version="tensorboard")]
        except ModuleNotFoundError as error:
            raise ConfigError("logger=tensorboard needs its package: pip install 'ser[tensorboard]'.") from error
    raise ConfigError(f"logger.name is one of csv, tensorboard, wandb, not {config['name']!r}.")


def wandb_mode() -> Mode:
    """``online`` where a key is set up (``WANDB_API_KEY``, or the file that `wandb login` writes), else ``offline``.

    ``WANDB_MODE`` overrides both.
    """
    if os.environ.get("WANDB_MODE") in get_args(Mode):
        return cast(Mode, os.environ["WANDB_MODE"])
    if os.environ.get("WANDB_API_KEY"):
        return "online"
    host = urlparse(os.environ.get("WANDB_BASE_URL", WANDB_SERVER)).hostname or ""
    try:
        return "online" if netrc(os.environ.get("NETRC")).authenticators(host) else "offline"
    except (OSError, NetrcParseError):
        return "offline"


def _wandb(
    config: Mapping[str, Any],
    folder: Path,
    run_name: str,
    group: str,
    settings: Mapping[str, Any],
    stamps: Sequence[str],
) -> "Logger":
    from lightning.pytorch.loggers import WandbLogger

    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    def start(mode: Mode) -> Any:
        return wandb.init(
            project=config["project"],
            entity=config["entity"],
            group=config["group"] or group,
            tags=[*config["tags"], *stamps],
            name=run_name,
            dir=folder,
            mode=mode,
            config=dict(settings),
            reinit="finish_previous",
            settings=wandb.Settings(init_timeout=WANDB_INIT_SECONDS, silent=True, console="off"),
        )

    mode = wandb_mode()
    if mode == "offline":
        log.info("Weights & Biases: offline (no key, or so asked); `wandb sync %s/wandb/*` sends the run.", folder)
    try:
        run = start(mode)
    except wandb.errors.Error as error:
        log.warning("Weights & Biases cannot be reached (%s); the run is logged offline.", str(error).splitlines()[0])
        run = start("offline")
    return WandbLogger(experiment=run, save_dir=folder)


def log_results(
    chosen: "list[Logger]", summary: Mapping[str, Any], predictions: pd.DataFrame, pictures: Mapping[str, Path]
) -> None:
    """Send the test numbers, the pictures and the predictions table to the trackers that take them."""
    from lightning.pytorch.loggers import WandbLogger

    numbers = {f"test/{name}": summary[name] for name in ("uar", "accuracy", "macro_f1", "cross_entropy")}
    for logger in chosen:
        if isinstance(logger, WandbLogger):
            import wandb

            logger.experiment.summary.update(numbers)
            media = {name: wandb.Image(str(file)) for name, file in pictures.items()}
            logger.experiment.log({"predictions": wandb.Table(dataframe=predictions), **media})
        else:
            logger.log_metrics(numbers)


def finish(chosen: "list[Logger]") -> None:
    """End the trackers' runs, so that the next job of a sweep begins its own."""
    from lightning.pytorch.loggers import WandbLogger

    if any(isinstance(logger, WandbLogger) for logger in chosen):
        import wandb

        wandb.finish()
