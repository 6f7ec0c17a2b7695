"""What the benchmarks share: composed settings, untrained models, the device that there is, and its memory."""

import resource
from types import SimpleNamespace
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ser.models.calibration import Calibration
from ser.models.classifier import SpeechClassifier
from ser.runtime.conf_dir import conf_dir
from ser.training.build import build_model

GIB = 2**30
CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad")


def composed(overrides: list[str]) -> dict[str, Any]:
    """Return the training configuration of a command line, as plain data."""
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        config = OmegaConf.to_container(compose("train", overrides), resolve=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def untrained(*overrides: str) -> SpeechClassifier:
    """Return a model of some settings whose weights are random: what it costs does not depend on them."""
    stub = SimpleNamespace(classes=CLASSES, stamps=(), trained_on=(), scale=lambda: None)
    torch.manual_seed(0)
    model = build_model(composed(list(overrides)), stub)  # type: ignore[arg-type]
    model.calibration = Calibration(1.5, 0.9, 0.9)
    return model.to(device()).eval()


def device() -> torch.device:
    """Return the first GPU, or the CPU where there is none."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def device_name() -> str:
    """Return what the device is called."""
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"


def synchronise() -> None:
    """Wait until the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak() -> float:
    """Return the peak memory so far in GiB: of the GPU, or of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / GIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
