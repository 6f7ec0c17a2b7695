"""Write a trained model to a file of ONNX or of ``torch.export``, checked against the model before it has its name."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser.baselines.classical import Classical
from ser.errors import ConfigError, RunError
from ser.inference.exporting.classical import classical_in_onnx
from ser.inference.exporting.facts import facts_of
from ser.inference.exporting.parity import MOST, Answer, largest_difference
from ser.inference.exporting.program import INPUTS, exportable, in_onnx, program_of, refusing
from ser.inference.exporting.quantise import quantise
from ser.inference.load import load_model
from ser.inference.onnx import session_of
from ser.models.classifier import SpeechClassifier
from ser.runtime.files import replacing

FACTS = "ser.json"
"""The facts of a model inside a file of ``torch.export``."""
MOST_BYTES = 2**31
"""Of a file of protocol buffers, as ONNX is."""


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: Its path.
        size: In bytes.
        unquantised: Its size before its weights became integers, in bytes; ``None`` if they did not.
        difference: The largest of its answers from those of the model; see `ser.inference.exporting.parity`.
    """

    path: Path
    size: int
    difference: float
    unquantised: int | None = None


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    form: str = "onnx",
    further: Mapping[str, Any] | None = None,
    quantised: str | None = None,
) -> Exported:
    """Write the model of a checkpoint in another format; nothing is left where it cannot be, or answers otherwise.

    Args:
        checkpoint: A checkpoint file.
        out: The file to write.
        form: ``onnx``, or ``torchexport``: a program of ``torch.export``, which PyTorch runs without this library.
        further: Facts that the file holds, beside those of `ser.inference.exporting.facts.facts_of`.
        quantised: ``int8`` makes the weights of a net integers; its answers may then differ as much as they do.

    Raises:
        ConfigError: If a part of the model cannot be exported, ``form``, ``quantised`` or the suffix of ``out`` is another,
            or a package is missing.
        RunError: If there is no checkpoint, or the file does not answer as the model does.
    """
    if form not in FORMATS:
        raise ConfigError(f"format must be {' or '.join(FORMATS)}; got {form!r}.")
    suffix, write = FORMATS[form]
    if out.suffix != suffix:
        raise ConfigError(f"out must end in {suffix} with format={form}; got {out}.")
    if quantised not in (None, "int8"):
        raise ConfigError(f"quantise must be int8 or null; got {quantised!r}.")
    if quantised and form != "onnx":
        raise ConfigError(f"quantise must be null with format={form}; got {quantised}. Set format=onnx.")
    model = load_model(checkpoint)
    if quantised and isinstance(model, Classical):
        raise ConfigError(f"quantise must be null for {model.name}, which has no layers; got {quantised}.")
    facts = facts_of(model, checkpoint, further or {})
    with replacing(out) as unfinished:
        answer = write(model, facts, unfinished)
        with refusing(model):
            difference = largest_difference(model, answer)
        if not difference <= MOST:  # which NaN is not
            raise RunError(
                f"The export must answer as the model does, with differences up to {MOST:g}; got {difference:.2g}, and "
                f"{out} was not written. See docs/exporting.md for the models that can be exported."
            )
        before = None
        if quantised:
            before = unfinished.stat().st_size
            with refusing(model):
                quantise(unfinished, exportable(model))
                difference = largest_difference(model, run_by_onnxruntime(unfinished))
    return Exported(out, out.stat().st_size, difference, before)


def write_onnx(model: SpeechClassifier, facts: Mapping[str, str], path: Path) -> Answer:
    """Write a model as ONNX, and return what runs the file.

    Raises:
        ConfigError: See `export_checkpoint`.
    """
    try:
        import onnx  # late: an extra
        import onnxscript  # noqa: F401  # what torch writes ONNX with
    except ModuleNotFoundError as error:
        raise ConfigError(f"format=onnx needs the package {error.name}. Run pip install 'ser[export]'.") from error
    names = ["values" if model.numeric else "probabilities", "logits", "embedding"]
    if isinstance(model, Classical):
        made = classical_in_onnx(model, names)
    else:
        program = program_of(model)
        with refusing(model):
            made = in_onnx(program, names)
    onnx.helper.set_model_props(made, dict(facts))
    if made.ByteSize() >= MOST_BYTES:
        raise ConfigError(f"model must have less than 2 GB with format=onnx; got {made.ByteSize() / 1e9:.1f} GB.")
    onnx.save(made, str(path))
    return run_by_onnxruntime(path)


def run_by_onnxruntime(path: Path) -> Answer:
    """Return what runs a file in ONNX."""
    session = session_of(path)
    known = {output.name for output in session.get_outputs()}  # in any order
    names = ["values" if "values" in known else "probabilities", "logits"]

    def answer(waveform: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answers, logits = session.run(names, dict(zip(INPUTS, (waveform, lengths), strict=True)))
        return answers, logits

    return answer


def write_program(model: SpeechClassifier, facts: Mapping[str, str], path: Path) -> Answer:
    """Write a model as a program of ``torch.export``, and return what runs the file.

    Raises:
        ConfigError: See `export_checkpoint`.
    """
    if isinstance(model, Classical):
        raise ConfigError(f"format must be onnx for {model.name}, which scikit-learn runs; got torchexport.")
    program = program_of(model)
    with refusing(model):
        with path.open("wb") as file:
            torch.export.save(program, file, extra_files={FACTS: json.dumps(facts, ensure_ascii=False)})
        # Guards of tracing bind some programs to even numbers of frames, but what they compute is right for all.
        again = torch.export.load(path).module(check_guards=False)

    def answer(waveform: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            answers, logits, _ = again(waveform=torch.from_numpy(waveform), lengths=torch.from_numpy(lengths))
        return answers.numpy(), logits.numpy()

    return answer


FORMATS: dict[str, tuple[str, Callable[[SpeechClassifier, Mapping[str, str], Path], Answer]]] = {
    "onnx": (".onnx", write_onnx),
    "torchexport": (".pt2", write_program),
}
"""By name, the suffix of a file, and what writes it."""
