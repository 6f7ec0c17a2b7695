"""Where the log of a training goes: to ``run.log``, and to the terminal."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE_ONLY = {"file_only": True}
"""As ``extra`` of a log call: the terminal does not show it."""

LIGHTNING = ("lightning.pytorch", "lightning.fabric")
OURS = "ser"
"""Name of the handlers of `logging_to`."""


def drop_other_handlers() -> None:
    """Take from Lightning's loggers the handlers that they get when Lightning is imported, which may be later than ours."""
    for name in LIGHTNING:
        logger = logging.getLogger(name)
        logger.handlers = [handler for handler in logger.handlers if handler.get_name() == OURS]


def _is_for_people(record: logging.LogRecord) -> bool:
    return not hasattr(record, "file_only") and (record.name.startswith("ser") or record.levelno >= logging.ERROR)


@contextmanager
def logging_to(file: Path, *, terminal: bool = True) -> Iterator[None]:
    """Write the log of ``ser`` and of Lightning, and warnings, to a file and, if ``terminal``, to the terminal."""
    from rich import get_console
    from rich.logging import RichHandler

    loggers = [logging.getLogger(name) for name in ("ser", *LIGHTNING, "py.warnings")]
    to_file = logging.FileHandler(file)
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    to_terminal = RichHandler(show_time=False, show_path=False, show_level=False)
    to_terminal.addFilter(_is_for_people)
    for handler in (to_file, to_terminal):
        handler.set_name(OURS)
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
