"""Runs of the same configuration: those in a folder, the newest of them, and whether a folder holds another."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ser.errors import RunError
from ser.runs.folder import CONFIG, RunFolder
from ser.runs.identity import differing
from ser.runtime.words import and_more

log = logging.getLogger(__name__)


def beside(runs: Path, config: Mapping[str, Any]) -> Iterator[tuple[RunFolder, list[str]]]:
    """Yield the runs in a folder, the newest first, with the settings in which each differs; see `differing`.

    A run whose settings cannot be read is skipped with a warning.
    """
    for file in sorted(runs.glob(f"*/{CONFIG}"), key=lambda file: file.stat().st_mtime, reverse=True):
        run = RunFolder(file.parent)
        try:
            different = differing(run.settings, config)
        except RunError as error:
            log.warning("%s This run is skipped.", error)
            continue
        yield run, different


def newest_like(runs: Path, config: Mapping[str, Any]) -> Path:
    """Return the newest run folder of this configuration, to resume it.

    Raises:
        RunError: If there is none; names the settings in which the nearest run differs.
    """
    apart: list[tuple[list[str], Path]] = []
    for run, different in beside(runs, config):
        if not different:
            return run.path
        apart.append((different, run.path))
    if not apart:
        raise RunError(f"ckpt=last: there is no run under {runs.resolve()} to resume. Train without ckpt=last first.")
    different, nearest = min(apart, key=lambda found: len(found[0]))
    raise RunError(
        f"ckpt=last: no run under {runs.resolve()} has this configuration. In the nearest, {nearest.name}, "
        f"{and_more(different)}. Give its settings to resume it, or train anew without ckpt=last."
    )


def check_same(folder: Path, config: Mapping[str, Any]) -> None:
    """Check that a folder holds no other run.

    Raises:
        RunError: If it holds a run of another configuration; names the settings that differ.
    """
    run = RunFolder(folder)
    if run.has(CONFIG) and (different := differing(run.settings, config)):
        raise RunError(
            f"{folder} holds a run of another configuration: {and_more(different)}. Give its settings to resume it, or "
            "another paths.run to train anew."
        )
