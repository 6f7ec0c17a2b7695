"""Turn a function into a command: Hydra composes the configuration, and errors are sentences instead of tracebacks."""

import errno
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ser.errors import ConfigError, SerError
from ser.runtime.conf_dir import conf_dir
from ser.runtime.help_page import help_page
from ser.runtime.packages import packages_named

if TYPE_CHECKING:
    from omegaconf import DictConfig

Task = Callable[["DictConfig"], Any]
Alone = Callable[[Sequence[str]], list[str]]
FULL = "The disk is full. Free some space, or choose another disk with paths.runs=/folder or paths.stores=/folder."
NO_HOME = "There is no home folder for ~. Set HOME, or SER_HOME=/folder, or write paths without ~."
LAUNCHERS = {"joblib": "joblib", "slurm": "submitit", "submitit": "submitit", "ray": "ray"}
"""The Hydra plugin that each launcher needs."""
RESUME = " Resume with the same command plus ckpt=last."
RESUME_SWEEP = " Resume with the same command."
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def command(config_name: str, alone: Alone | None = None, extra: str = "train") -> Callable[[Task], Callable[[], None]]:
    """Decorate a function that takes the composed configuration ``conf/<config_name>.yaml``.

    ``alone`` returns the settings that paths without a name stand for; ``None`` allows no such path.
    ``extra`` brings the packages that the command needs.

    An error that a user can correct ends the command with its message and exit code. In a sweep it ends its own job only:
    the other jobs run, and the sweep then exits with 1.
    """

    def decorate(task: Task) -> Callable[[], None]:
        @wraps(task)
        def begin() -> None:
            with friendly_errors(), packages_named(extra):
                if {"--help", "-h"} & set(sys.argv[1:]):
                    sys.stdout.write(help_page(Path(conf_dir()), config_name, shutil.get_terminal_size().columns))
                else:
                    _compose_and_run(task, config_name, alone)

        return begin

    return decorate


def _compose_and_run(task: Task, config_name: str, alone: Alone | None) -> None:
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from ser.runtime.composition import check, plain_hydra_errors, understood
    from ser.sweeps import names

    @wraps(task)
    def run(config: "DictConfig") -> Any:
        logging.captureWarnings(True)
        alone = HydraConfig.get().mode == RunMode.RUN
        resume = (RESUME if alone else RESUME_SWEEP) if config_name == "train" else ""
        with friendly_errors(resume, _exit if alone else _end_job):
            overrides = HydraConfig.get().overrides.task
            with plain_hydra_errors(config_name, overrides):
                check(config, config_name, overrides)
            return task(config)

    names.register()
    sys.argv[1:] = understood(names.resumed(with_settings(sys.argv[1:], alone)), config_name)
    check_launcher(sys.argv[1:])
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises its errors, in place of printing them
    with plain_hydra_errors(config_name, sys.argv[1:]):
        hydra.main(version_base="1.3", config_path=conf_dir(), config_name=config_name)(run)()


def with_settings(arguments: Sequence[str], alone: Alone | None) -> list[str]:
    """Return arguments with settings in place of the paths without a name, which ``alone`` returns.

    Example:
        >>> with_settings(["--cfg", "job", "my.csv", "seed=1"], lambda paths: ["data=table", f"data.file={paths[0]}"])
        ['--cfg', 'job', 'data=table', 'data.file=my.csv', 'seed=1']
    """
    before = zip(["", *arguments], arguments, strict=False)
    places = [at for at, (flag, text) in enumerate(before) if alone is not None and _is_path(text, flag)]
    if alone is None or not places:
        return list(arguments)
    rest = [[text] for at, text in enumerate(arguments) if at not in places]
    rest.insert(places[0], alone([arguments[at] for at in places]))
    return [text for part in rest for text in part]


def _is_path(argument: str, before: str) -> bool:
    """Whether an argument is a path: it is one that exists, or neither a setting nor a flag nor a flag's value."""
    if before.startswith("-") or argument.startswith("-"):
        return False
    return "=" not in argument or Path(argument).exists()


def check_launcher(arguments: Sequence[str]) -> None:
    """Refuse a launcher whose package is not installed, before Hydra calls it unknown.

    Raises:
        ConfigError: If it is not installed.
    """
    from importlib.util import find_spec

    for name in (argument.partition("launcher=")[2] for argument in arguments if argument.startswith("launcher=")):
        if name in LAUNCHERS and find_spec(f"hydra_plugins.hydra_{LAUNCHERS[name]}_launcher") is None:
            extra = "slurm" if LAUNCHERS[name] == "submitit" else name
            raise ConfigError(f"launcher={name} needs a package that is not installed: pip install 'ser[{extra}]'.")


def _exit(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    sys.exit(code)


def _end_job(message: str, code: int) -> NoReturn:
    from hydra.errors import CompactHydraException

    raise CompactHydraException(message.splitlines()[0])


@contextmanager
def friendly_errors(resume: str = "", end: Callable[[str, int], NoReturn] = _exit) -> Iterator[None]:
    """End a command, or one job of a sweep, with a sentence in place of a traceback where the user can correct the error."""
    try:
        with packages_named():
            yield
    except SerError as error:
        end(str(error), error.exit_code)
    except OSError as error:
        if (sentence := _sentence(error)) is None:
            raise
        end(sentence, SerError.exit_code)
    except RuntimeError as error:
        if "home directory" not in str(error):  # of pathlib
            raise
        end(NO_HOME, SerError.exit_code)
    except KeyboardInterrupt:
        _exit(f"Interrupted. No partial files were left.{resume}", 130)


def _sentence(error: OSError) -> str | None:
    """Return what to do about an error of the file system; ``None`` where it is an error of this program."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FULL
    if error.filename is None:
        return None
    if error.errno in REFUSED:
        return (
            f"Permission denied: {error.filename}. Change its permissions, or choose another folder: paths.runs, "
            "paths.stores, hydra.sweep.dir (of a sweep) or out."
        )
    if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
        return f"{error.filename}: {error.strerror}. Move it away, or choose another path."
    return None
