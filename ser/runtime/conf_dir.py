"""The folder of the configuration: ``conf/`` beside the package, or ``ser/conf`` in an installed wheel."""

from pathlib import Path

from ser.errors import ConfigError


def conf_dir() -> str:
    """Return the absolute path of the folder with ``train.yaml``.

    Raises:
        ConfigError: If neither exists.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return str(folder)
    raise ConfigError(f"{package / 'conf'} must hold the configuration; got no train.yaml there. Install ser again.")
