"""Where the configuration is: ``conf/`` beside the package in a checkout, ``ser/conf`` inside an installed wheel."""

from pathlib import Path

from ser.errors import ConfigError


def conf_dir() -> str:
    """The absolute path of the folder with ``train.yaml``.

    Raises:
        ConfigError: If neither place holds it: the installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return str(folder)
    raise ConfigError(f"No configuration at {package / 'conf'}: the installation is incomplete. Install ser again.")
