"""Turn a function into a command: Hydra composes the configuration, and errors are sentences, not tracebacks."""

import logging
import sys
from collections.abc import Callable
from errno import ENOSPC
from functools import wraps

from omegaconf import DictConfig, OmegaConf

from ser.conf_dir import conf_dir
from ser.errors import ConfigError, SerError

Task = Callable[[DictConfig], None]


def command(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Decorate a function that takes the composed configuration ``conf/<config_name>.yaml``.

    A `SerError` (or a full disk) ends the command with its message and exit code. In a sweep it ends its own job only; the
    others run, and the sweep then exits 1.
    """

    def decorate(task: Task) -> Callable[[], None]:
        import hydra
        from hydra.core.hydra_config import HydraConfig
        from hydra.errors import CompactHydraException
        from hydra.types import RunMode

        @wraps(task)
        def run(config: DictConfig) -> None:
            logging.captureWarnings(True)
            try:
                if missing := sorted(OmegaConf.missing_keys(config)):
                    raise ConfigError(f"{missing[0]} has no value, and no default: give it one, {missing[0]}=...")
                task(config)
            except SerError as error:
                stop(str(error), error.exit_code)
            except OSError as error:
                if error.errno != ENOSPC:
                    raise
                stop(
                    "The disk is full. Make room, or choose another with paths.runs=/folder or paths.stores=/folder.", 1
                )
            except KeyboardInterrupt:
                hint = "; the same command with ckpt=last goes on" if config_name == "train" else ""
                sys.stderr.write(f"\nStopped. Nothing half-written is left{hint}.\n")
                sys.exit(130)

        def stop(message: str, code: int) -> None:
            sys.stderr.write(f"\n{message}\n")
            if HydraConfig.get().mode == RunMode.RUN:
                sys.exit(code)
            raise CompactHydraException(message.splitlines()[0])  # its own job of a sweep: Hydra prints no traceback

        return hydra.main(version_base="1.3", config_path=conf_dir(), config_name=config_name)(run)  # type: ignore[no-any-return]

    return decorate
