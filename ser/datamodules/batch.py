"""The input of a model."""

from typing import Literal, NamedTuple

from torch import Tensor

Grouping = Literal["speaker", "corpus"]
"""What utterances have in common where their statistics are shared."""


class Batch(NamedTuple):
    """Some utterances, padded to the longest.

    Shapes:
        - waveform: ``(batch, sample)`` float32, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)`` in samples
        - target: ``(batch,)`` class positions, or ``(batch, class)`` rows that sum to 1 where targets are soft, or
          ``(batch, dimension)`` numbers, standardised by the training clips
        - index: ``(batch,)`` rows of the data module's manifest
        - speaker, corpus: ``(batch,)`` positions in the data module's ``groups``
        - features: the model's features of the waveform, ``(batch, feature, frame)`` and ``(batch,)`` in frames, if they
          are cached (`ser.datamodules.cache`); the waveform then has no samples
        - whole: number of utterances of the batch over all processes that share it; ``None`` without other processes
    """

    waveform: Tensor
    lengths: Tensor
    target: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which a batch does not need
    speaker: Tensor
    corpus: Tensor
    features: tuple[Tensor, Tensor] | None = None
    whole: int | None = None

    def group(self, by: Grouping) -> Tensor:
        """Return the position of each utterance's speaker or corpus, ``(batch,)``."""
        return self.speaker if by == "speaker" else self.corpus
