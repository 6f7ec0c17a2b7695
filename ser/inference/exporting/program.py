"""A model as one program: raw waveforms and their lengths in, answers out, whatever the number of clips and their length."""

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from typing_extensions import override

from ser.errors import ConfigError
from ser.features.framing import Framing
from ser.inference.exporting.encoders import exportable_encoder
from ser.inference.exporting.recurrent import exportable_lstm, translations
from ser.models.classifier import SpeechClassifier
from ser.models.embedding import below_outputs
from ser.models.encoders.waveform import WaveformEncoder

INPUTS = ("waveform", "lengths")
LEAST_SILENCE = 1024
"""In samples."""
OPSET = 18
"""Of ONNX: the first with all operators that are used, so that runtimes from 2023 on know it."""


class Answering(nn.Module):
    """A trained net from waveforms to what is exported.

    Shapes:
        - waveform: ``(batch, sample)`` float32 at the model's rate, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)`` int64, in samples
        - returns: ``(batch, class)`` float32 probabilities by the model's temperature, or numbers in their unit;
          ``(batch, class)`` logits; ``(batch, unit)`` embedding
    """

    scale: Tensor | None

    def __init__(self, model: SpeechClassifier) -> None:
        super().__init__()
        self.model, self.silence, self.temperature = exportable(model), silence_of(model), temperature_of(model)
        self.register_buffer("scale", None if model.scale is None else model.scale.float())  # (2, class)

    @override
    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        logits, embedding = below_outputs(self.model, *normalised(self.model, self.silence, waveform, lengths))
        if self.scale is not None:
            return self.scale[0] + self.scale[1] * logits, logits, embedding
        return (logits / self.temperature).softmax(dim=1), logits, embedding


class Vector(nn.Module):
    """The part of a classical model before its classifier.

    Shapes:
        - waveform, lengths: See `Answering`
        - returns: ``(batch, feature)`` float64, and the same as float32
    """

    def __init__(self, model: SpeechClassifier) -> None:
        super().__init__()
        self.model, self.silence = exportable(model), silence_of(model)

    @override
    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        features, _ = normalised(self.model, self.silence, waveform, lengths)
        return features[..., 0].double(), features[..., 0].float()


def normalised(model: SpeechClassifier, silence: int, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the normalised features of clips, and their frames.

    A program has no branches by length. So silence is added to all, which changes nothing, in place of filling up short ones.
    """
    features, frames = model.extract(nn.functional.pad(waveform, (0, silence)), lengths)
    return model.normalise(features, frames), frames


def exportable(model: SpeechClassifier) -> SpeechClassifier:
    """Return a copy of a model whose LSTMs and encoders can be exported."""
    copied = copy.deepcopy(model).eval()
    for part in list(copied.modules()):
        for name, child in list(part.named_children()):
            if (other := exportable_lstm(child) or exportable_encoder(child)) is not None:
                setattr(part, name, other)
    return copied


def silence_of(model: SpeechClassifier) -> int:
    """Return the samples of silence that make a frame of every feature from the shortest clip."""
    parts = list(model.features.modules())
    framings = [getattr(part, "framing", None) for part in parts]
    spans = [at.span for at in framings if isinstance(at, Framing)]
    return max([LEAST_SILENCE, *spans, *(part.shortest for part in parts if isinstance(part, WaveformEncoder))])


def temperature_of(model: SpeechClassifier) -> float:
    """Return what the logits of a model are divided by; 1 where its training has not fitted it."""
    return 1.0 if model.calibration is None else model.calibration.temperature


def program_of(model: SpeechClassifier) -> ExportedProgram:
    """Return the program of a net, `Answering`, or of a model without gradients, `Vector`.

    Raises:
        ConfigError: If a part of the model cannot be exported, or it normalises by a speaker or corpus that it does not have.
    """
    if model.normalise.groups and model.normalise.adapted is None:
        raise ConfigError(
            f"normalise must be training, utterance or none for an export; got {model.normalise.by}, by which a model has to "
            "be adapted to recordings first. Train with normalise=training."
        )
    rate = model.audio.sample_rate
    waveform = 0.1 * torch.randn(2, 2 * rate, generator=torch.Generator().manual_seed(0))
    waveform[1, rate:] = 0
    whole = Answering(model) if model.by_gradients else Vector(model)
    with refusing(model):
        return traced(whole, {"waveform": waveform, "lengths": torch.tensor([2 * rate, rate])})


def traced(module: nn.Module, inputs: Mapping[str, Tensor], varying: int = 2) -> ExportedProgram:
    """Return the program of a module, whatever the sizes of the first dimensions: of a batch, and the length of clips."""
    shapes: dict[str, Any] = {
        name: dict.fromkeys(range(min(x.dim(), varying)), Dim.DYNAMIC) for name, x in inputs.items()
    }
    with torch.no_grad():
        program = torch.export.export(module, (), dict(inputs), dynamic_shapes=shapes, strict=False)
        # Without this, a file of torch's cannot hold blocks without autocast.
        made: ExportedProgram = program.run_decompositions({})
    return made


def in_onnx(program: ExportedProgram, outputs: list[str]) -> Any:
    """Return a program as a ``ModelProto`` of ONNX; its inputs are named as the module's."""
    made = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=OPSET,
        output_names=outputs,
        custom_translation_table=translations(),
        verbose=False,
    )
    assert made is not None
    for node in made.model.graph:
        for value in node.outputs:
            if value.name in outputs and not value.is_graph_output():  # torch names values after operators: embedding
                value.name = f"{value.name}_inside"
    return made.model_proto


@contextmanager
def refusing(model: SpeechClassifier) -> Iterator[None]:
    """Keep what exporters tell their own developers out of the log, and say that a model cannot be exported if one fails.

    Raises:
        ConfigError: If it cannot.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ConfigError:
        raise
    except Exception as error:  # tracing can raise anything, on a part that it cannot follow
        names = ", ".join(type(part).__name__ for part in (model, *model.cleaning.steps, model.features))
        text = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")
        raise ConfigError(
            f"model must be made of parts that can be exported; got {names}, of which one cannot be "
            f"({type(error).__name__}: {text[:120]}). See docs/exporting.md for those that can."
        ) from error
    finally:
        logging.disable(before)
