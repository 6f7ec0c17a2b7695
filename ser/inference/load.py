"""Load a trained model from its checkpoint alone: no configuration, store or corpus is needed."""

from pathlib import Path

import torch

from ser.errors import RunError
from ser.models.classifier import LEFT_OUT, SpeechClassifier
from ser.runtime.files import replacing
from ser.runtime.instantiate import find_class

BEST = "checkpoints/best.ckpt"
"""Where a run keeps the weights that were best on dev, below its folder."""
PARTS = {"ser_model", "hyper_parameters", "state_dict"}


def load(path: str | Path, device: str | torch.device = "cpu") -> SpeechClassifier:
    """The trained model of a run, in evaluation mode.

    Args:
        path: A run's folder, or a checkpoint file.
        device: Where to put it.

    Raises:
        RunError: If there is no checkpoint, it is damaged, or it was not written by ``ser``.
    """
    file = checkpoint_of(Path(path).expanduser())
    try:
        # weights_only: tensors and plain containers, never code.
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the bytes of a file that is something else make the unpickler do
        raise RunError(
            f"{file} cannot be read as a checkpoint: it is damaged, or holds more than tensors and plain data."
        ) from error
    if not isinstance(checkpoint, dict) or not checkpoint.keys() >= PARTS:
        raise RunError(f"{file} is not a checkpoint of ser: it lacks one of {', '.join(sorted(PARTS))}.")
    if LEFT_OUT in checkpoint:
        raise RunError(
            f"{file} is of a training that has not come to its end: it lacks {checkpoint[LEFT_OUT]} pretrained weights "
            "that training does not change. Go on with it: the same command with ckpt=last."
        )
    kind = find_class(str(checkpoint["ser_model"]), SpeechClassifier)
    try:
        model = kind(**checkpoint["hyper_parameters"])
        model.load_state_dict(checkpoint["state_dict"])
    except (TypeError, KeyError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise RunError(f"{file} does not fit this version's {kind.__name__}: {first} Train it again.") from error
    return model.to(device).eval()


def complete(path: Path, model: SpeechClassifier) -> None:
    """Put the weights that checkpoints went without in training into one that is to stand alone."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    if checkpoint.pop(LEFT_OUT, None) is None:
        return
    model.on_load_checkpoint(checkpoint)
    with replacing(path) as unfinished:
        torch.save(checkpoint, unfinished)


def checkpoint_of(path: Path) -> Path:
    """The best checkpoint of a run's folder, or the file itself."""
    if path.is_file():
        return path
    if (file := path / BEST).is_file():
        return file
    if folds := sorted(str(f.parent.parent) for f in path.glob(f"fold_*/{BEST}")):
        raise RunError(f"{path} holds {len(folds)} folds, each a model of its own: load one of {', '.join(folds)}.")
    raise RunError(f"{path} has no checkpoint ({BEST}): is it a run's folder, and did its training come to an end?")
