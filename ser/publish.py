"""``python -m ser.publish model=runs/... out=folder``: a trained model as a folder to share, on the Hugging Face Hub too."""

from typing import TYPE_CHECKING

from ser.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("publish")
def main(config: "DictConfig") -> None:
    """Write the folder of the model that the configuration names, and push it where that is asked for."""
    from contextlib import ExitStack
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from rich.console import Console

    from ser.errors import ConfigError
    from ser.inference.hub import HUB
    from ser.runs.folder import checkpoint_of
    from ser.runs.publishing.publish import publish
    from ser.runs.publishing.upload import upload

    if config.out is None and config.repo is None:
        raise ConfigError("out must be a folder, or repo a name on the Hub; got neither. Set out=model.")
    if not isinstance(config.private, bool):
        raise ConfigError(f"private must be true or false; got {config.private!r}.")
    checkpoint, console = checkpoint_of(config.model.path), Console(highlight=False, soft_wrap=True)
    with ExitStack() as stack:
        place = config.out or str(Path(stack.enter_context(TemporaryDirectory())) / "model")
        folder = Path(place).expanduser()
        publish(checkpoint, folder, folder.name if config.repo is None else f"{HUB}{config.repo}", config.license)
        if config.out is not None:
            console.print(f"{folder}  {sum(f.stat().st_size for f in folder.iterdir()) / 1e6:.1f} MB", markup=False)
        if config.repo is not None:
            console.print(upload(folder, str(config.repo), config.private), markup=False)


if __name__ == "__main__":
    main()
