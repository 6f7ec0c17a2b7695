"""Speech emotion recognition with speaker-independent splits, intervals and fast sweeps."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ser.models.classifier import SpeechClassifier

__version__ = "0.1.0"
__all__ = ["load"]


def load(path: "str | Path", device: str = "cpu") -> "SpeechClassifier":
    """Load the trained model of a run's folder, or of a checkpoint file; see `ser.inference.load.load`."""
    from ser.inference.load import load as load_model  # late: `import ser` does not import torch

    return load_model(path, device)
