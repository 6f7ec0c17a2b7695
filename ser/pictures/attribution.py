"""What a model's answer rests on: integrated gradients and saliency over its features or its waveform, and its last layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn

from ser.datamodules.batch import Batch
from ser.datamodules.data import SpeechData
from ser.errors import ConfigError
from ser.features.mask import frame_mask
from ser.features.normalise import Statistics
from ser.inference.familiarise import embeddings
from ser.models.classifier import SpeechClassifier

NO_CAPTUM = "Integrated gradients and saliency need the package captum: pip install 'ser[explain]'."
POINTS_AT_ONCE = 64
"""Points of the paths of integrated gradients that are computed at a time."""
SECONDS_AT_ONCE = 30
"""Audio of such points that an encoder reads at a time."""
FRAME_MS = 20
"""Parts of a waveform whose attributions are summed: as long as a frame of most encoders."""


def has_captum() -> bool:
    """Whether captum is installed."""
    return find_spec("captum") is not None


class Outputs(nn.Module):
    """A model from normalised features to its outputs, which captum differentiates.

    Shapes:
        - features: ``(batch, feature, frame)``
        - frames: ``(batch,)``
        - returns: ``(batch, class)``
    """

    def __init__(self, model: SpeechClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, frames: Tensor) -> Tensor:
        """Return the outputs; frames beyond a clip stay zero."""
        return self.model.classify(features * frame_mask(frames, features.shape[2])[:, None], frames)


def attributed(
    model: SpeechClassifier, features: Tensor, frames: Tensor, target: Tensor, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return integrated gradients, saliency, and by how much the first miss their sum.

    Integrated gradients (Sundararajan et al., 2017, https://arxiv.org/abs/1703.01365) share out what an output differs by
    from that of the baseline, the average frame of training (normalised features of zero). Saliency (Simonyan et al., 2014,
    https://arxiv.org/abs/1312.6034) is the size of the output's gradient.

    Shapes:
        - features: ``(batch, feature, frame)``, normalised
        - frames, target: ``(batch,)``; ``target`` is the position of the output that is explained
        - returns: ``(batch, feature, frame)`` in units of the output (logits), the same, and ``(batch,)``

    Raises:
        ConfigError: If captum is not installed.
    """
    if not has_captum():
        raise ConfigError(NO_CAPTUM)
    from captum.attr import IntegratedGradients, Saliency

    outputs = Outputs(model)
    with _differentiable(model):
        shares, missed = IntegratedGradients(outputs).attribute(
            features,
            baselines=torch.zeros_like(features),
            target=target,
            additional_forward_args=(frames,),
            n_steps=steps,
            internal_batch_size=max(POINTS_AT_ONCE, len(features)),
            return_convergence_delta=True,
        )
        salient = Saliency(outputs).attribute(
            features.clone().requires_grad_(), target=target, additional_forward_args=(frames,)
        )
    return shares.detach(), salient.detach(), missed.detach()


class FromWaveform(nn.Module):
    """A model from waveforms of one clip's length to its outputs, which captum differentiates.

    Shapes:
        - waveform: ``(point, sample)``
        - returns: ``(point, class)``

    Args:
        clip: A batch of one clip.
        own: See `ser.models.classifier.SpeechClassifier.own_statistics`.
    """

    def __init__(self, model: SpeechClassifier, clip: Batch, own: Statistics | None) -> None:
        super().__init__()
        self.model, self.clip, self.own = model, clip, own

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the outputs."""
        lengths = self.clip.lengths.expand(len(waveform))
        return self.model.logits(self.clip._replace(waveform=waveform, lengths=lengths, features=None), self.own)


def waveform_attributed(
    model: SpeechClassifier, clip: Batch, own: Statistics | None, output: int, steps: int
) -> tuple[Tensor, Tensor, float]:
    """Return integrated gradients and saliency over a waveform, and by how much the first miss their sum; see `attributed`.

    The baseline is `noise_like` the clip (Sturmfels et al., 2020, https://doi.org/10.23915/distill.00022), and not
    silence: encoders normalise the level of a clip, by its variance, a group norm or the logarithm of its power, so that
    the output changes nowhere on the path to silence but next to it, where no point of the path is.

    Shapes:
        - returns: ``(sample,)`` float64 in units of the output (logits), the same, and a number in that unit

    Args:
        model: One whose features have a gradient.
        clip: A batch of one clip.
        own: See `FromWaveform`.
        output: The position of the output that is explained.
        steps: Points of the path.

    Raises:
        ConfigError: If captum is not installed.
    """
    if not has_captum():
        raise ConfigError(NO_CAPTUM)
    from captum.attr import IntegratedGradients, Saliency

    outputs, waveform = FromWaveform(model, clip, own), clip.waveform
    with _differentiable(model):
        shares, missed = IntegratedGradients(outputs).attribute(
            waveform,
            baselines=noise_like(waveform),
            target=output,
            n_steps=steps,
            internal_batch_size=max(1, SECONDS_AT_ONCE * model.audio.sample_rate // waveform.shape[1]),
            return_convergence_delta=True,
        )
        salient = Saliency(outputs).attribute(waveform.clone().requires_grad_(), target=output)
    return shares[0].detach().double(), salient[0].detach().double(), float(missed)


def noise_like(waveform: Tensor) -> Tensor:
    """Return white noise with the energy of each waveform, ``(batch, sample)``; the same each time.

    Example:
        >>> noise_like(torch.tensor([[3.0, 4.0]])).square().sum().sqrt().item()
        5.0
    """
    noise = torch.randn(waveform.shape, generator=torch.Generator().manual_seed(0)).to(waveform)
    scale: Tensor = waveform.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True)
    return noise * scale


def in_frames(values: Tensor, rate: int) -> Tensor:
    """Return the sums of values, ``(sample,)``, over each `FRAME_MS`; the last may be shorter.

    Example:
        >>> in_frames(torch.ones(50), rate=1000).tolist()
        [20.0, 20.0, 10.0]
    """
    size = rate * FRAME_MS // 1000
    return nn.functional.pad(values, (0, -len(values) % size)).view(-1, size).sum(dim=1)


@contextmanager
def _differentiable(model: SpeechClassifier) -> Iterator[None]:
    """Evaluation mode with gradients: the fused recurrent nets of a GPU have none in it."""
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        model.train(was_training)


def in_relative_time(values: Tensor, frames: Tensor, bins: int) -> Tensor:
    """Return values by share of the clip's length in place of frames; their sums stay.

    Shapes:
        - values: ``(batch, feature, frame)``
        - frames: ``(batch,)``
        - returns: ``(batch, feature, bins)``

    Example:
        >>> in_relative_time(torch.tensor([[[1.0, 2.0, 3.0, 4.0, 9.0]]]), torch.tensor([4]), 2).tolist()
        [[[3.0, 7.0]]]
    """
    each = []
    for clip, count in zip(values, frames.tolist(), strict=True):
        edges = torch.linspace(0, count, bins + 1, dtype=values.dtype, device=values.device)
        until = nn.functional.pad(
            clip[:, :count].cumsum(dim=1), (1, 0)
        )  # (feature, count + 1): the sum before each frame
        low = edges.floor().long().clamp(max=count - 1)
        at = until[:, low] + (edges - low) * (until[:, low + 1] - until[:, low])
        each.append(at.diff(dim=1))
    return torch.stack(each)


def layer_below(
    model: SpeechClassifier, data: SpeechData, rows: np.ndarray, own: Statistics | None
) -> tuple[np.ndarray, str]:
    """Return what a model's outputs are made from, ``(row, unit)`` in the order of ``rows``, and what it is in words.

    That is the input of the last linear layer, or the vector that a classical model gets.

    Raises:
        ConfigError: If no layer has as many outputs as there are classes.
    """
    what = "units below the outputs" if model.by_gradients else "numbers of the vector that the classifier gets"
    return embeddings(model, data, rows, own), what


def normalised_clip(
    model: SpeechClassifier, data: SpeechData, rows: np.ndarray, own: Statistics | None
) -> tuple[Tensor, Tensor, Batch]:
    """Return the normalised features of some rows, their frames, and the batch of the rows, in their order."""
    batch = data.gather(torch.from_numpy(rows), model.device)
    with model.evaluating():
        features, frames = model.normalised(batch, own)
    return features, frames, batch
