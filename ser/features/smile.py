"""eGeMAPS, ComParE and other standard sets of functionals, computed by openSMILE on the CPU.

openSMILE is the optional extra ``ser[opensmile]``. Its licence allows research and other non-commercial use only.

Sources: Eyben et al., 2010, https://doi.org/10.1145/1873951.1874246; eGeMAPS: Eyben et al., 2016,
https://doi.org/10.1109/TAFFC.2015.2457417; ComParE: Schuller et al., 2016, https://doi.org/10.21437/Interspeech.2016-129.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.features.precision import at_least_float32

LICENCE = "research and other non-commercial use only, https://github.com/audeering/opensmile"
SHORTEST_S = 0.1
"""A shorter clip is padded with silence to this, as no frame of its pitch would fit."""


class OpenSmile(nn.Module):
    """A set of functionals of openSMILE: one vector a clip, on the CPU, without gradients.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, n_features, 1)``, in openSMILE's units, and ones, ``(batch,)``, as each clip has one frame

    Args:
        feature_set: A name of ``opensmile.FeatureSet``, such as ``eGeMAPSv02`` (88 functionals) or ``ComParE_2016`` (6373).
        sample_rate: In Hz.

    Raises:
        ConfigError: If the package opensmile is not installed, or has no such set.
    """

    one_frame = True
    """Each clip has exactly one frame."""
    costly = True
    """Worth keeping on disk between runs; see `ser.models.classifier.SpeechClassifier.cache_key`."""

    def __init__(self, feature_set: str = "eGeMAPSv02", sample_rate: int = 16000) -> None:
        super().__init__()
        self.feature_set, self.sample_rate = feature_set, sample_rate
        self.names: tuple[str, ...] = tuple(_smile(feature_set).feature_names)
        self.n_features = len(self.names)
        self.provenance = {"features": {"library": f"opensmile {_opensmile().__version__}", "licence": LICENCE}}

    @torch.no_grad()
    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the functionals, and one frame for each clip."""
        shortest = int(SHORTEST_S * self.sample_rate)
        clips = [
            samples[:length] for samples, length in zip(waveform.float().cpu().numpy(), lengths.tolist(), strict=True)
        ]
        filled = [np.pad(clip, (0, max(0, shortest - len(clip)))) for clip in clips]
        smile = _smile(self.feature_set)
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:  # the library computes outside Python's lock
            rows = list(threads.map(lambda samples: smile(samples[None], self.sample_rate)[0], filled))
        vectors = torch.from_numpy(np.stack(rows)).to(waveform.device, at_least_float32(waveform).dtype)
        return vectors, torch.ones_like(lengths)  # (batch, feature, 1), (batch,)


@cache
def _smile(feature_set: str) -> Any:
    """Return the extractor of a set; it belongs to no module, as it can be neither copied nor stored."""
    opensmile = _opensmile()
    known = [each.name for each in opensmile.FeatureSet]
    if feature_set not in known:
        raise ConfigError(f"features.feature_set must be one of {', '.join(known)}; got {feature_set}.")
    return opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)


def _opensmile() -> Any:
    try:
        import opensmile
    except ModuleNotFoundError as error:
        raise ConfigError(
            "Features of openSMILE need the package opensmile, which is not installed. Run pip install 'ser[opensmile]'. Its "
            "licence allows research and other non-commercial use only."
        ) from error
    return opensmile
