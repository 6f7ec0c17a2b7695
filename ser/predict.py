"""``python -m ser.predict model=runs/... files=calls/``: what a trained model says of recordings, or of live speech."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ser.command import command
from ser.plot import files_setting

if TYPE_CHECKING:
    from omegaconf import DictConfig

STANDARD_INPUT = "-"
OF_STREAMS = {"rate": None, "detector": "energy"}
OF_FILES = {"files": [], "segments": False, "speech": False, "calibrated": True, "risk": None}
"""Settings that mean nothing of files, or of streams, and their defaults."""


@command("predict", alone=files_setting)
def main(config: "DictConfig") -> None:
    """Predict the recordings of the configuration, or live speech; exit with 1 if some recordings cannot be used."""
    from ser.errors import ConfigError

    for name, default in (OF_STREAMS if config.stream is False else OF_FILES).items():
        if config[name] != default:
            how = "stream=false" if config.stream is False else "stream"
            raise ConfigError(f"{name} must be left out with {how}; got {config[name]}. Leave one of them out.")
    (_predict_files if config.stream is False else _listen)(config)


def _predict_files(config: "DictConfig") -> None:
    """Predict recordings."""
    from pathlib import Path

    from rich import get_console

    from ser.errors import UnusableError
    from ser.inference.batch import Asked, predict_files
    from ser.inference.load import load
    from ser.protocols.limits import NOT_FOR
    from ser.report.predictions import predictions_table
    from ser.runs.folder import models_of
    from ser.runtime.files import sha256_of
    from ser.runtime.words import and_more, counted

    found = models_of(config.model.path, config.folds)
    asked = Asked(**{name: config[name] for name in ("calibrated", "segments", "window", "hop", "speech", "risk")})
    out = None if config.out is None else Path(config.out).expanduser()
    model = load(found, config.device)
    sums = [sha256_of(file) for file in found] if isinstance(found, list) else sha256_of(found)
    known, files = {"sha256": sums}, list(_named(config.files))
    table = predict_files(model.scorer, files, asked, out, known, config.batch_size)
    console = get_console()
    if out is None:
        console.print(predictions_table(table, model.classes, model.stamps, console.width))
    else:
        marks = "".join(f"  [{stamp.upper()}]" for stamp in model.stamps)
        console.print(f"{out}: {counted(len(table), 'row')}{marks}", soft_wrap=True, highlight=False, markup=False)
    console.print(NOT_FOR, soft_wrap=True, highlight=False)
    if unusable := list(table.loc[table["error"].notna(), "error"]):
        raise UnusableError(f"{counted(len(unusable), 'recording')} could not be used: {and_more(unusable)}")


def _listen(config: "DictConfig") -> None:
    """Predict live speech, until it ends, Ctrl-C, or nobody reads the events."""
    import os
    import sys
    from pathlib import Path

    from ser.inference.listening import Listening, follow, json_lines
    from ser.inference.load import load
    from ser.runs.folder import models_of

    asked = Listening(config.stream, config.rate, config.window, config.hop, config.detector)
    out = None if config.out is None else Path(config.out).expanduser()
    model = load(models_of(config.model.path, config.folds), config.device)
    try:
        with json_lines(out) as write:
            follow(model, str(config.model.path), asked, write)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends


def _named(files: object) -> Iterator[str]:
    """Yield the names of recordings, with the lines of standard input in place of ``-``."""
    import sys

    for name in [files] if isinstance(files, str) else list(files or ()):  # type: ignore[call-overload]
        if name == STANDARD_INPUT:
            yield from filter(None, (line.rstrip("\r\n") for line in sys.stdin))
        else:
            yield str(name)


if __name__ == "__main__":
    main()
