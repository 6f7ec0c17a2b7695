"""A run of Weights & Biases: begun under an id that its folder keeps, so that going on is going on with the same run.

Offline, a part of a run that is gone on with is the whole run anew: its rows and results are read from the folder's files,
which nothing is lost from, while what W&B writes to disk lags by seconds and is lost where a process is killed. `wandb sync`
so needs no order: a run without ``resume`` takes the place of what the server has under its id.
"""

import json
import logging
import os
import secrets
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import urlparse

import pandas as pd

from ser.runtime.files import write_json

log = logging.getLogger(__name__)

Mode = Literal["online", "offline", "disabled"]
SERVER = "https://api.wandb.ai"
INIT_SECONDS = 60
"""How long to wait for the server before a run is logged offline instead."""
TAG_LENGTH = 64
"""The longest tag, in characters, that W&B accepts."""
RECORD = "wandb_run.json"
"""Holds the run's id, in its folder."""


def mode() -> Mode:
    """``online`` where a key is set up (``WANDB_API_KEY``, or the file that `wandb login` writes), else ``offline``.

    ``WANDB_MODE`` overrides both.
    """
    if os.environ.get("WANDB_MODE") in get_args(Mode):
        return cast(Mode, os.environ["WANDB_MODE"])
    if os.environ.get("WANDB_API_KEY"):
        return "online"
    host = urlparse(os.environ.get("WANDB_BASE_URL", SERVER)).hostname or ""
    try:
        return "online" if netrc(os.environ.get("NETRC")).authenticators(host) else "offline"
    except (OSError, NetrcParseError):
        return "offline"


def tag(text: str) -> str:
    """Return the short name of a stamp, without its details in brackets, in the 64 characters that a tag may have.

    Example:
        >>> tag("not speaker-independent (100 % of test clips by training speakers, 98 % with a sentence of training)")
        'not speaker-independent'
    """
    return textwrap.shorten(text.partition(" (")[0], TAG_LENGTH, placeholder=" ...")


def begin(
    config: Mapping[str, Any],
    folder: Path,
    *,
    name: str,
    group: str,
    job_type: str,
    settings: Mapping[str, Any],
    stamps: Sequence[str] = (),
) -> Any:
    """Begin a run or go on with it, offline if its server does not answer.

    Args:
        config: The ``logger`` group.
        folder: Keeps the run's id; W&B's files go below it.
        name: What W&B calls the run.
        group: What the run is under, unless the configuration says.
        job_type: Its kind, within the group.
        settings: What W&B shows as its configuration.
        stamps: Words that its results must carry; each becomes a tag.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    # W&B's own process serves this one alone: one that it shares with another holds the ids of runs that were killed.
    os.environ.pop("WANDB_SERVICE", None)
    import wandb

    def start(how: Mode) -> Any:
        return wandb.init(
            project=config["project"],
            entity=config["entity"],
            group=config["group"] or group,
            job_type=job_type,
            tags=[tag(text) for text in (*config["tags"], *stamps)],
            name=name,
            id=_id(folder),
            resume="allow" if how == "online" else None,
            dir=folder.absolute(),  # W&B's process may have begun elsewhere
            mode=how,
            config=dict(settings),
            reinit="finish_previous",
            settings=wandb.Settings(init_timeout=INIT_SECONDS, silent=True, console="off"),
        )

    how = mode()
    if how == "offline":
        log.info("Weights & Biases: offline (no key, or so asked); `wandb sync %s` sends the run.", folder / "wandb")
    try:
        return start(how)
    except wandb.errors.Error as error:
        log.warning("Weights & Biases cannot be reached (%s); the run is logged offline.", str(error).splitlines()[0])
        wandb.teardown()  # its process holds the id of the run that did not begin
        return start("offline")


def end(run: Any, folder: Path, exit_code: int = 0) -> None:
    """End a run, and remove the offline parts that it takes the place of: one cut short would stop `wandb sync`."""
    kept = Path(run.dir).parent.resolve()
    run.finish(exit_code=exit_code)
    if run.disabled:
        return
    for part in folder.glob(f"wandb/offline-run-*-{run.id}"):
        if part.resolve() != kept:
            shutil.rmtree(part)


def _id(folder: Path) -> str:
    """The run's, new if its folder has none; that of a W&B agent, where one has begun this process."""
    if "WANDB_RUN_ID" in os.environ:
        return os.environ["WANDB_RUN_ID"]
    try:
        return str(json.loads((folder / RECORD).read_text(encoding="utf-8"))["id"])
    except FileNotFoundError:
        fresh = secrets.token_hex(4)
        write_json({"id": fresh}, folder / RECORD)
        return fresh


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

    run = begin(config, folder, name=f"{folder.name} summary", group=folder.name, job_type="summary", settings={})
    try:
        tables = {name: pd.read_csv(file) for name, file in _written(folder, "csv").items()}
        media: dict[str, Any] = {name: wandb.Table(dataframe=table) for name, table in {"jobs": jobs, **tables}.items()}
        media |= {name: wandb.Image(str(file)) for name, file in _written(folder, "png").items()}
        pages = _written(folder, "html").values()
        media |= {f"page/{page.stem}": wandb.Html(page.read_text(encoding="utf-8")) for page in pages}
        run.log(media)
        run.summary.update({state: int(count) for state, count in jobs["state"].value_counts().items()})
    finally:
        end(run, folder)


def _written(folder: Path, suffix: str) -> dict[str, Path]:
    """Files of a sweep's report, beside its jobs or in a folder of the report's own, by their path without the suffix."""
    own = [child for child in folder.iterdir() if child.is_dir() and not (child / "config.yaml").exists()]
    files = sorted([*folder.glob(f"*.{suffix}"), *(file for child in own for file in child.glob(f"*.{suffix}"))])
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}
