"""Where metrics go while a run trains, beside the ``metrics.csv`` of every run: Weights & Biases or TensorBoard."""

import logging
import os
from collections.abc import Mapping, Sequence
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args
from urllib.parse import urlparse

import pandas as pd

from ser import run_folder
from ser.errors import ConfigError

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

log = logging.getLogger(__name__)

Mode = Literal["online", "offline", "disabled"]
ARTIFACTS = {"split": "split.json", "card": "card.json", "checkpoint": "checkpoints/best.ckpt"}
"""Files of a run's folder, by what a user calls them."""
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

    if unknown := sorted(set(config["artifacts"]) - set(ARTIFACTS)):
        raise ConfigError(f"logger.artifacts are some of {', '.join(ARTIFACTS)}, not {', '.join(unknown)}.")
    job_type = config["job_type"] or run_folder.run_name(settings)
    run = _started(config, folder, name=run_name, group=group, job_type=job_type, settings=settings, stamps=stamps)
    return WandbLogger(experiment=run, save_dir=folder)


def _started(
    config: Mapping[str, Any],
    folder: Path,
    *,
    name: str,
    group: str,
    job_type: str,
    settings: Mapping[str, Any],
    stamps: Sequence[str] = (),
) -> Any:
    """A run of Weights & Biases, offline if its server does not answer."""
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    def start(mode: Mode) -> Any:
        return wandb.init(
            project=config["project"],
            entity=config["entity"],
            group=config["group"] or group,
            job_type=job_type,
            tags=[*config["tags"], *stamps],
            name=name,
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
        return start(mode)
    except wandb.errors.Error as error:
        log.warning("Weights & Biases cannot be reached (%s); the run is logged offline.", str(error).splitlines()[0])
        return start("offline")


def log_sweep(config: Mapping[str, Any], folder: Path, jobs: pd.DataFrame) -> None:
    """Send what a sweep ended with as a run of its own, of the job type ``summary``: tables, pictures and pages.

    Args:
        config: The ``logger`` group; with any other than ``wandb``, nothing is sent.
        folder: The sweep's, with what its report wrote.
        jobs: One row a job.
    """
    if config["name"] != "wandb":
        return
    import wandb

    run = _started(config, folder, name=f"{folder.name} summary", group=folder.name, job_type="summary", settings={})
    try:
        tables = {name: pd.read_csv(file) for name, file in _written(folder, "csv").items()}
        media: dict[str, Any] = {name: wandb.Table(dataframe=table) for name, table in {"jobs": jobs, **tables}.items()}
        media |= {name: wandb.Image(str(file)) for name, file in _written(folder, "png").items()}
        pages = _written(folder, "html").values()
        media |= {f"page/{page.stem}": wandb.Html(page.read_text(encoding="utf-8")) for page in pages}
        run.log(media)
        run.summary.update({state: int(count) for state, count in jobs["state"].value_counts().items()})
    finally:
        wandb.finish()


def _written(folder: Path, suffix: str) -> dict[str, Path]:
    """Files of a sweep's report, beside its jobs or in a folder of the report's own, by their path without the suffix."""
    own = [child for child in folder.iterdir() if child.is_dir() and not (child / "config.yaml").exists()]
    files = sorted([*folder.glob(f"*.{suffix}"), *(file for child in own for file in child.glob(f"*.{suffix}"))])
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}


def log_results(
    chosen: "list[Logger]",
    summary: Mapping[str, Any],
    predictions: pd.DataFrame,
    pictures: Mapping[str, Path],
    folder: Path,
    artifacts: Sequence[str] = (),
) -> None:
    """Send the test numbers, the pictures, the predictions table, and files of a run to the trackers that take them.

    Args:
        chosen: The run's.
        summary: See `ser.evaluation.summary`.
        predictions: Of the test speakers.
        pictures: By name.
        folder: The run's.
        artifacts: Which of `ARTIFACTS` to send.
    """
    from lightning.pytorch.loggers import WandbLogger

    numbers = {f"test/{name}": summary[name] for name in ("uar", "accuracy", "macro_f1", "cross_entropy")}
    for logger in chosen:
        if isinstance(logger, WandbLogger):
            import wandb

            logger.experiment.summary.update(numbers)
            media = {name: wandb.Image(str(file)) for name, file in pictures.items()}
            logger.experiment.log({"predictions": wandb.Table(dataframe=predictions), **media})
            for kind in artifacts:
                artifact = wandb.Artifact(f"{logger.experiment.name}-{kind}".replace("+", "-"), type=kind)
                artifact.add_file(str(folder / ARTIFACTS[kind]))
                logger.experiment.log_artifact(artifact)
        else:
            logger.log_metrics(numbers)


def finish(chosen: "list[Logger]") -> None:
    """End the trackers' runs, so that the next job of a sweep begins its own."""
    from lightning.pytorch.loggers import WandbLogger

    if any(isinstance(logger, WandbLogger) for logger in chosen):
        import wandb

        wandb.finish()
