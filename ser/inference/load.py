"""Load a trained model from its file alone: no configuration, store or corpus is needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ser.errors import ConfigError
from ser.inference.predictor import Predictor
from ser.runtime.packages import packages_named

if TYPE_CHECKING:
    import torch

    from ser.models.classifier import SpeechClassifier

ONNX = ".onnx"
"""How the names of exported models end, which onnxruntime runs; they need no PyTorch."""


def load(path: str | Path | Sequence[Path], device: "str | torch.device" = "cpu") -> Predictor:
    """Return the trained model of a checkpoint, or of a file in ONNX, for predictions.

    Args:
        path: The file; see `ser.load` for a run's folder. Several are models that answer together, by their mean.
        device: Device of the model; ``auto`` is a GPU if there is one.

    Raises:
        RunError: If there is no such file, it is damaged, or it was not written by ``ser``.
        ConfigError: If there is no such device, or several models have not the same classes.
    """
    if not isinstance(path, str | Path):
        from ser.inference.average import AverageScorer  # late: it is seldom needed

        return Predictor(AverageScorer([load(each, device).scorer for each in path]))
    if Path(path).suffix == ONNX:
        from ser.inference.onnx import OnnxScorer  # late, as PyTorch is

        return Predictor(OnnxScorer(Path(path), str(device)))
    return Predictor(load_model(path, device))


@packages_named()
def load_model(path: str | Path, device: "str | torch.device" = "cpu") -> "SpeechClassifier":
    """Return the trained model of a checkpoint, in evaluation mode.

    Args:
        path: A checkpoint file.
        device: See `load`.

    Raises:
        RunError: If there is no checkpoint, it is damaged, or it was not written by ``ser``.
        ConfigError: If there is no such device, or PyTorch is not installed.
    """
    from ser.models.checkpoint import model_from, read_checkpoint

    file = Path(path)
    return model_from(read_checkpoint(file), file).to(device_named(device)).eval()


def device_named(asked: "str | torch.device") -> "torch.device":
    """Return the requested device; ``auto`` is a GPU if there is one.

    Raises:
        ConfigError: If there is no such device.
    """
    import torch

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
