"""A model that `ser.inference.exporting` wrote as ONNX, run by onnxruntime: neither PyTorch nor a checkpoint is needed."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.audio.decode import AudioSettings
from ser.errors import ConfigError, RunError
from ser.evaluation.calibration import softmax
from ser.inference.scorer import Clips, Scores, scores_of
from ser.models.calibration import Calibration
from ser.models.familiar import Familiar

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
QUIET = 3
"""Level of onnxruntime's log from which on it writes: errors."""


class OnnxScorer:
    """A `ser.inference.scorer.Scorer` of a file.

    Args:
        path: A file of `ser.inference.exporting`.
        device: ``cpu``, ``cuda``, or ``auto``, which is a GPU if onnxruntime can use one.

    Raises:
        RunError: If there is no file, it is damaged, or it was not written by ``ser``.
        ConfigError: If onnxruntime is not installed, or there is no such device.
    """

    adapts_to = None
    """It normalises by what it was exported with."""
    adapted = False

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self._path, self._device = path, device
        self._session = session_of(path, device)
        facts = self._session.get_modelmeta().custom_metadata_map
        try:
            self.name, self.numeric = f"{path.name} ({facts['model']})", json.loads(facts["numeric"])
            self.classes, self.stamps = tuple(json.loads(facts["labels"])), tuple(json.loads(facts["stamps"]))
            self.checkpoint_sha256 = facts.get("checkpoint_sha256")
            self.audio = AudioSettings(**json.loads(facts["audio"]))
            self.trained_on = tuple(dict(corpus) for corpus in json.loads(facts.get("trained_on", "[]")))
            self.calibration = _calibration(facts)
            self.familiar = Familiar.from_text(facts["familiar"]) if "familiar" in facts else None
        except (KeyError, ValueError, TypeError) as error:
            raise RunError(
                f"{path} must be a model that ser exported, with its labels and how audio is decoded; got {error!r}. "
                "Write it with python -m ser.export."
            ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxScorer, (self._path, self._device)  # a session cannot be sent to another process

    def score(self, clips: Clips, *, embed: bool = False) -> Scores:
        """See `ser.inference.scorer.Scorer.score`."""
        known = [output.name for output in self._session.get_outputs()]
        if embed and "embedding" not in known:
            raise ConfigError(f"{self.name} must have an embedding; got {', '.join(known)}. Load the run.")
        asked = ["values" if self.numeric else "logits", *(["embedding"] if embed else [])]
        inputs = {"waveform": np.ascontiguousarray(clips.waveform), "lengths": clips.lengths.astype(np.int64)}
        outputs, *rest = self._session.run(asked, inputs)
        answers = outputs.astype(np.float64)
        probable = answers if self.numeric else softmax(answers)
        return scores_of(probable, self.calibration, rest[0] if embed else None)

    def adapt(self, clips: Iterable[Clips]) -> None:
        """Do nothing: see ``adapts_to``."""


def session_of(path: Path, device: str = "cpu") -> "InferenceSession":
    """Open an ONNX file.

    Raises:
        RunError: If there is no file, or it is damaged.
        ConfigError: If onnxruntime is not installed, or there is no such device.
    """
    try:
        import onnxruntime  # late: an extra
    except ModuleNotFoundError as error:
        raise ConfigError("Models in ONNX need the package onnxruntime. Run pip install 'ser[onnx]'.") from error
    present = [name for name, provider in PROVIDERS.items() if provider in onnxruntime.get_available_providers()]
    chosen = present[-1] if device == "auto" else device
    if chosen not in present:
        raise ConfigError(f"device must be auto, or {' or '.join(present)} with this onnxruntime; got {device!r}.")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[PROVIDERS[chosen]])
    except Exception as error:  # onnxruntime has an exception for each status
        reason = "got none" if not path.is_file() else "got a damaged file, or one of another kind"
        raise RunError(f"{path} must be a model in ONNX; {reason}. Write it with python -m ser.export.") from error


def _calibration(facts: Mapping[str, str]) -> Calibration | None:
    names = ("temperature", "threshold", "level", "curve")
    return Calibration(**{name: json.loads(facts[name]) for name in names}) if names[0] in facts else None
