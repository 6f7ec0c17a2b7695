"""``python -m ser.predict model=runs/... files=calls/``: what a trained model says of recordings, as a table."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ser.command import command
from ser.plot import files_setting

if TYPE_CHECKING:
    from omegaconf import DictConfig

STANDARD_INPUT = "-"


@command("predict", alone=files_setting)
def main(config: "DictConfig") -> None:
    """Predict the recordings of the configuration; exit with 1 if some of them cannot be used."""
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
    asked = Asked(**{name: config[name] for name in ("calibrated", "segments", "window", "hop", "risk")})
    out = None if config.out is None else Path(config.out).expanduser()
    model = load(found, config.device)
    sums = [sha256_of(file) for file in found] if isinstance(found, list) else sha256_of(found)
    known, files = {"sha256": sums}, list(_named(config.files))
    table = predict_files(model.scorer, files, asked, out, known, config.batch_size)
    console = get_console()
    if out is None:
        console.print(predictions_table(table, model.classes, model.stamps))
    else:
        marks = "".join(f"  [{stamp.upper()}]" for stamp in model.stamps)
        console.print(f"{out}: {counted(len(table), 'row')}{marks}", soft_wrap=True, highlight=False, markup=False)
    console.print(NOT_FOR, soft_wrap=True, highlight=False)
    if unusable := list(table.loc[table["error"].notna(), "error"]):
        raise UnusableError(f"{counted(len(unusable), 'recording')} could not be used: {and_more(unusable)}")


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
