"""Turn a function into a command: Hydra composes the configuration, and errors are sentences, not tracebacks."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from errno import ENOSPC
from functools import wraps
from importlib.util import find_spec
from typing import Any, NoReturn

from omegaconf import DictConfig

from ser.errors import ConfigError, SerError
from ser.runtime.conf_dir import check_complete, conf_dir
from ser.sweeps import names

Task = Callable[[DictConfig], Any]
FULL = "The disk is full. Make room, or choose another with paths.runs=/folder or paths.stores=/folder."
LAUNCHERS = {"joblib": "joblib", "slurm": "submitit", "submitit": "submitit", "ray": "ray"}
"""Whose plugin of Hydra a launcher needs."""
GO_ON = {"one": "; the same command with ckpt=last goes on", "sweep": "; the same command goes on", "other": ""}


def command(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Decorate a function that takes the composed configuration ``conf/<config_name>.yaml``.

    A `SerError` (or a full disk) ends the command with its message and exit code. In a sweep it ends its own job only; the
    others run, and the sweep then exits 1.
    """

    def decorate(task: Task) -> Callable[[], None]:
        import hydra
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        @wraps(task)
        def run(config: DictConfig) -> Any:
            logging.captureWarnings(True)
            alone = HydraConfig.get().mode == RunMode.RUN
            kind = ("one" if alone else "sweep") if config_name == "train" else "other"
            with in_words(GO_ON[kind], _exit if alone else _end_job):
                check_complete(config)
                return task(config)

        names.register()
        composed = hydra.main(version_base="1.3", config_path=conf_dir(), config_name=config_name)(run)

        @wraps(task)
        def begin() -> None:
            with in_words():  # what comes of a job alone has been told by now
                sys.argv[1:] = names.resumed(sys.argv[1:])
                check_launcher(sys.argv[1:])
                composed()

        return begin

    return decorate


def check_launcher(arguments: Sequence[str]) -> None:
    """Ask for the package of a launcher, before Hydra says that it knows none of that name.

    Args:
        arguments: Of a command line.

    Raises:
        ConfigError: If it is not installed.
    """
    for name in (argument.partition("launcher=")[2] for argument in arguments if argument.startswith("launcher=")):
        if name in LAUNCHERS and find_spec(f"hydra_plugins.hydra_{LAUNCHERS[name]}_launcher") is None:
            extra = "slurm" if LAUNCHERS[name] == "submitit" else name
            raise ConfigError(f"launcher={name} needs its package: pip install 'ser[{extra}]'.")


def _exit(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"\n{message}\n")
    sys.exit(code)


def _end_job(message: str, code: int) -> NoReturn:
    from hydra.errors import CompactHydraException

    raise CompactHydraException(message.splitlines()[0])


@contextmanager
def in_words(hint: str = GO_ON["sweep"], end: Callable[[str, int], NoReturn] = _exit) -> Iterator[None]:
    """End a command, or one job of a sweep, by a sentence where its user can put it right."""
    try:
        yield
    except SerError as error:
        end(str(error), error.exit_code)
    except OSError as error:
        if error.errno != ENOSPC:
            raise
        end(FULL, 1)
    except KeyboardInterrupt:
        _exit(f"Stopped. Nothing half-written is left{hint}.", 130)
