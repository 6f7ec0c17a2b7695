"""Load a trained model from its checkpoint alone: no configuration, store or corpus is needed."""

from pathlib import Path

import torch

from ser.errors import ConfigError, RunError
from ser.models.checkpoint import model_from, read_checkpoint
from ser.models.classifier import SpeechClassifier

BEST = "checkpoints/best.ckpt"
"""Where a run keeps the weights that were best on dev, below its folder."""


def load(path: str | Path, device: str | torch.device = "cpu") -> SpeechClassifier:
    """The trained model of a run, in evaluation mode.

    Args:
        path: A run's folder, or a checkpoint file.
        device: Where to put it; ``auto`` is a GPU if there is one.

    Raises:
        RunError: If there is no checkpoint, it is damaged, or it was not written by ``ser``.
        ConfigError: If there is no such device.
    """
    file = checkpoint_of(Path(path).expanduser())
    return model_from(read_checkpoint(file), file).to(_device(device)).eval()


def _device(asked: str | torch.device) -> torch.device:
    """Return the device asked for."""
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:<index>; got {asked!r}.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device must be present on this machine, which has {torch.cuda.device_count()} CUDA devices; got {asked!r}. "
            "Use device=auto or device=cpu."
        )
    return device


def checkpoint_of(path: Path) -> Path:
    """The best checkpoint of a run's folder, or the file itself."""
    if path.is_file():
        return path
    if (file := path / BEST).is_file():
        return file
    if folds := sorted(str(f.parent.parent) for f in path.glob(f"fold_*/{BEST}")):
        raise RunError(f"{path} holds {len(folds)} folds, each a model of its own: load one of {', '.join(folds)}.")
    raise RunError(f"{path} has no checkpoint ({BEST}): is it a run's folder, and did its training come to an end?")
