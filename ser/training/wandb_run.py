"""Weights & Biases: one run a training command, under an id that the run's folder keeps, so that resuming continues it.

Offline, a resumed run is logged whole again, in a new part that replaces the earlier ones: its rows and results are read from
the folder's files, which lose nothing, while W&B's own files lag by seconds and end early where a process is killed. A run
without ``resume`` replaces what the server has under its id, so that `wandb sync` needs no order.
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
from typing import TYPE_CHECKING, Any, Literal, cast, get_args
from urllib.parse import urlparse

import pandas as pd
from typing_extensions import override

from ser.errors import ConfigError
from ser.runs.folder import BEST, CARD, CONFIG, CONFUSION, CURVES, DEV_METRICS, HISTORY, SPLIT, RunFolder
from ser.runs.identity import fold_part, identity, run_name
from ser.runtime.files import write_json
from ser.training.tracking import Tracker, numbers_of

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from ser.training.wandb_rows import FoldLogger

log = logging.getLogger(__name__)

Mode = Literal["online", "offline", "disabled"]
SERVER = "https://api.wandb.ai"
INIT_SECONDS = 60
"""How long to wait for the server before a run is logged offline instead."""
TAG_LENGTH = 64
"""The longest tag, in characters, that W&B accepts."""
RECORD = "wandb_run.json"
"""Holds the run's id, in its folder."""
ARTIFACTS = {"split": SPLIT, "card": CARD, "checkpoint": BEST}
"""Files of a run's folder, or of its folds, by what a user calls them."""


class WandB(Tracker):
    """One run for all folds: ``dev_uar`` of a run with one, ``fold_2/dev_uar`` of one with several.

    The run begins when there is something to send. Everything sent is read from the folder's files.

    Args:
        project: W&B's.
        entity: User or team; ``None`` is the default of the login.
        group: What the run is under; ``None`` is the sweep, or else the corpora, protocol and labels.
        job_type: Its kind, within the group; ``None`` is the corpora, model and protocol.
        tags: In addition to the stamps of the result.
        artifacts: Files to keep, of `ARTIFACTS`.
        offline: Log to disk where no key or login is set up, for `wandb sync`; otherwise nothing is logged there.
    """

    def __init__(
        self,
        project: str,
        entity: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: Sequence[str] = (),
        artifacts: Sequence[str] = (),
        offline: bool = True,
    ) -> None:
        if unknown := sorted(set(artifacts) - set(ARTIFACTS)):
            raise ConfigError(f"logger.artifacts must be some of {', '.join(ARTIFACTS)}; got {', '.join(unknown)}.")
        self.project, self.entity, self.group, self.job_type = project, entity, group, job_type
        self.tags, self.artifacts, self.mode = tags, artifacts, mode(offline)
        self._run: Any = None
        self._splits: dict[str, str] = {}
        self._rows: dict[Path, FoldLogger] = {}

    @override
    def begin(self, settings: Mapping[str, Any], folder: Path, group: str, fingerprint: str) -> None:
        self.settings, self.folder, self.fingerprint, self.group = settings, folder, fingerprint, self.group or group

    @override
    def loggers(self, folder: Path, fold: int, split_hash: str, stamps: Sequence[str]) -> "list[Logger]":
        if self.mode == "disabled":
            return []
        self._know(fold, split_hash, stamps)
        return [self._logger(folder)]

    @override
    def results(self, folder: Path) -> None:
        if self.mode == "disabled":
            return
        stored = RunFolder(folder)
        if stored.has(DEV_METRICS):
            about = stored.dev_metrics["run"]
            for fold, split_hash in about["splits"].items():
                self._know(int(fold), split_hash, about["stamps"])
            self._logger(folder)
        if not stored.is_finished or (folder != self.folder and not self._prefix(folder)):
            return  # the numbers of a single fold are the run's
        summary = stored.metrics
        run, prefix = self._begun(summary["run"]["stamps"]), self._prefix(folder)
        at = f"{prefix}/" if prefix else ""
        numbers = {f"{at}{name}": number for name, number in numbers_of(summary).items()}
        if run.resumed and all(run.summary.get(name) == number for name, number in numbers.items()):
            return  # the server has them
        run.summary.update(numbers)
        run.log({f"{at}{name}": media for name, media in self._media(folder).items()})
        if folder == self.folder:
            self._keep_artifacts()

    @override
    def end(self, exit_code: int) -> None:
        if self._run is not None:
            finish_wandb(self._run, self.folder, exit_code)

    @override
    def sweep(self, folder: Path, jobs: pd.DataFrame) -> None:
        """Send tables, pictures and pages as a run of its own, of the job type ``summary``."""
        if self.mode == "disabled":
            return
        import wandb

        self.group, self.job_type = folder.name, "summary"
        run = self.start(folder, f"{folder.name} summary", {})
        try:
            tables = {name: pd.read_csv(file) for name, file in _written(folder, "csv").items()}
            media: dict[str, Any] = {
                name: wandb.Table(dataframe=table) for name, table in {"jobs": jobs, **tables}.items()
            }
            media |= {name: wandb.Image(str(file)) for name, file in _written(folder, "png").items()}
            pages = _written(folder, "html").values()
            media |= {f"page/{page.stem}": wandb.Html(page.read_text(encoding="utf-8")) for page in pages}
            run.log(media)
            run.summary.update({state: int(count) for state, count in jobs["state"].value_counts().items()})
        finally:
            finish_wandb(run, folder)

    def start(self, folder: Path, name: str, settings: Mapping[str, Any], stamps: Sequence[str] = ()) -> Any:
        """Begin a run or continue it, offline if its server does not answer."""
        os.environ.setdefault("WANDB_SILENT", "true")
        # W&B's own process serves this one alone: one that it shares with another holds the ids of runs that were killed.
        os.environ.pop("WANDB_SERVICE", None)
        import wandb

        def init(how: Mode) -> Any:
            return wandb.init(
                project=self.project,
                entity=self.entity,
                group=self.group,
                job_type=self.job_type,
                tags=[tag(text) for text in (*self.tags, *stamps)],
                name=name,
                id=_id(folder),
                resume="allow" if how == "online" else None,
                dir=folder.absolute(),  # W&B's process may have begun elsewhere
                mode=how,
                config=dict(settings),
                reinit="finish_previous",
                settings=wandb.Settings(init_timeout=INIT_SECONDS, silent=True, console="off"),
            )

        if self.mode == "offline":
            log.info("Weights & Biases: logging offline; `wandb sync %s` sends the run.", folder / "wandb")
        try:
            return init(self.mode)
        except wandb.errors.Error as error:
            log.warning("Weights & Biases cannot be reached (%s); logging offline.", str(error).splitlines()[0])
            wandb.teardown()  # its process holds the id of the run that did not begin
            return init("offline")

    def _begun(self, stamps: Sequence[str]) -> Any:
        """Return the run, with the tags of more stamps."""
        if self._run is None:
            kind = run_name(self.settings)
            name = self.folder.name if self.folder.name.startswith(kind) else kind + fold_part(self.settings)
            self.job_type = self.job_type or kind
            settings = {**json.loads(identity(self.settings)), "fingerprint": self.fingerprint}
            self._run = self.start(self.folder, name, settings, stamps)
        tags = tuple(self._run.tags or ())
        if more := [short for short in dict.fromkeys(map(tag, stamps)) if short not in tags]:
            self._run.tags = (*tags, *more)
        return self._run

    def _know(self, fold: int, split_hash: str, stamps: Sequence[str]) -> None:
        """Put a fold's split among the settings."""
        if (known := {**self._splits, f"fold_{fold}": split_hash}) != self._splits:
            self._splits = known
            self._begun(stamps).config.update({"split_hash": known}, allow_val_change=True)

    def _logger(self, folder: Path) -> "FoldLogger":
        """Return the logger of a fold, with all rows sent that there are."""
        from ser.training.wandb_rows import FoldLogger

        if folder not in self._rows:
            self._rows[folder] = FoldLogger(self._begun(()), folder / HISTORY, self._prefix(folder))
        self._rows[folder].log_metrics()
        return self._rows[folder]

    def _prefix(self, folder: Path) -> str:
        return folder.name if folder != self.folder and self.settings["fold"] == "all" else ""

    def _media(self, folder: Path) -> dict[str, Any]:
        """Return the pictures of a folder and, of the whole run, the predictions."""
        import wandb

        run = RunFolder(folder)
        files = [folder / CONFUSION] if folder == self.folder else []
        files += [fold.path / CURVES for fold in run.folds if len(run.folds) == 1]
        media: dict[str, Any] = {file.stem: wandb.Image(str(file)) for file in files if file.exists()}
        if folder == self.folder:
            media["predictions"] = wandb.Table(dataframe=run.predictions)
        return media

    def _keep_artifacts(self) -> None:
        import wandb

        for kind in self.artifacts:
            artifact = wandb.Artifact(f"{self._run.name}-{kind}".replace("+", "-"), type=kind)
            run, name = RunFolder(self.folder), ARTIFACTS[kind]
            for file in [part.path / name for part in ([run] if run.has(name) else run.folds) if part.has(name)]:
                artifact.add_file(str(file), name=file.relative_to(self.folder).as_posix())
            self._run.log_artifact(artifact)


def mode(offline: bool = True) -> Mode:
    """Return ``online`` where a key is set up (``WANDB_API_KEY``, or the file that `wandb login` writes).

    ``WANDB_MODE`` overrides that.

    Args:
        offline: What to return without a key: ``offline``, or ``disabled``.
    """
    if os.environ.get("WANDB_MODE") in get_args(Mode):
        return cast(Mode, os.environ["WANDB_MODE"])
    without: Mode = "offline" if offline else "disabled"
    if os.environ.get("WANDB_API_KEY"):
        return "online"
    host = urlparse(os.environ.get("WANDB_BASE_URL", SERVER)).hostname or ""
    try:
        return "online" if netrc(os.environ.get("NETRC")).authenticators(host) else without
    except (OSError, NetrcParseError):
        return without


def tag(text: str) -> str:
    """Return the short name of a stamp, without its details in brackets, in the 64 characters that a tag may have.

    Example:
        >>> tag("not speaker-independent (100 % of test clips by training speakers, 98 % with a sentence of training)")
        'not speaker-independent'
    """
    return textwrap.shorten(text.partition(" (")[0], TAG_LENGTH, placeholder=" ...")


def finish_wandb(run: Any, folder: Path, exit_code: int = 0) -> None:
    """End a run, and remove the offline parts that it replaces: one that was cut short would stop `wandb sync`."""
    kept = Path(run.dir).parent.resolve()
    run.finish(exit_code=exit_code)
    for part in folder.glob(f"wandb/offline-run-*-{run.id}"):
        if part.resolve() != kept:
            shutil.rmtree(part)


def _id(folder: Path) -> str:
    """Return the id of a folder's run, new if it has none; that of a W&B agent, where one has started this process."""
    if "WANDB_RUN_ID" in os.environ:
        return os.environ["WANDB_RUN_ID"]
    try:
        return str(json.loads((folder / RECORD).read_text(encoding="utf-8"))["id"])
    except FileNotFoundError:
        fresh = secrets.token_hex(4)
        write_json({"id": fresh}, folder / RECORD)
        return fresh


def _written(folder: Path, suffix: str) -> dict[str, Path]:
    """Files of a sweep's report, beside its jobs or in a folder of the report's own, by their path without the suffix."""
    own = [child for child in folder.iterdir() if child.is_dir() and not (child / CONFIG).exists()]
    files = sorted([*folder.glob(f"*.{suffix}"), *(file for child in own for file in child.glob(f"*.{suffix}"))])
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}
