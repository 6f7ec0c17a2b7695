"""Where the configuration is, ``conf/`` beside the package or ``ser/conf`` in an installed wheel; and whether it is whole."""

from pathlib import Path
from typing import TYPE_CHECKING

from ser.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def conf_dir() -> str:
    """The absolute path of the folder with ``train.yaml``.

    Raises:
        ConfigError: If neither place holds it: the installation is incomplete.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return str(folder)
    raise ConfigError(f"No configuration at {package / 'conf'}: the installation is incomplete. Install ser again.")


def check_complete(config: "DictConfig") -> None:
    """Ask for a setting that has no value.

    Raises:
        ConfigError: If there is one.
    """
    from omegaconf import OmegaConf

    if missing := sorted(key for key in OmegaConf.missing_keys(config) if not key.startswith("hydra.")):
        raise ConfigError(f"{missing[0]} has no value, and no default: give it one, {missing[0]}=...")
