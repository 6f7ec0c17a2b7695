"""Functionals against NumPy and SciPy, and what padding may not do to them."""

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.features.functionals import Functionals
from ser.features.logmel import LogMel
from tests.numerics import EXACT

EVERY = ("mean", "std", "skewness", "kurtosis", "min", "max", "slope", "p0", "p7", "p50", "p99", "p100")
BY_NUMPY = {
    "mean": lambda x: x.mean(axis=1),
    "std": lambda x: x.std(axis=1),
    "skewness": lambda x: scipy.stats.skew(x, axis=1),
    "kurtosis": lambda x: scipy.stats.kurtosis(x, axis=1),
    "min": lambda x: x.min(axis=1),
    "max": lambda x: x.max(axis=1),
    "slope": lambda x: np.polyfit(np.arange(x.shape[1]), x.T, 1)[0],
}


class Rows(nn.Module):
    """Two features from the samples themselves, a sample a frame."""

    n_features = 2
    names = ("level", "square")

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return torch.stack([waveform, waveform.square()], dim=1), lengths


def expected(rows: np.ndarray, name: str) -> np.ndarray:
    return BY_NUMPY[name](rows) if name in BY_NUMPY else np.percentile(rows, int(name[1:]), axis=1)


def clips(*lengths: int) -> tuple[Tensor, Tensor]:
    waveform = torch.zeros(len(lengths), max(lengths), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for row, length in zip(waveform, lengths, strict=True):
        row[:length] = torch.randn(length, generator=generator, dtype=torch.float64)
    return waveform, torch.tensor(lengths)


def test_functionals_of_true_frames_equal_numpy() -> None:
    waveform, lengths = clips(50, 17, 2, 31)
    made = Functionals(Rows(), EVERY)
    vectors, frames = made(waveform, lengths)
    assert frames.tolist() == [1, 1, 1, 1]
    assert vectors.shape == (4, made.n_features, 1) == (4, 2 * len(EVERY), 1)
    for vector, clip, length in zip(vectors, waveform.numpy(), lengths.tolist(), strict=True):
        rows = np.stack([clip[:length], clip[:length] ** 2])
        theirs = np.concatenate([expected(rows, name) for name in EVERY])
        np.testing.assert_allclose(vector[:, 0].numpy(), theirs, atol=1e-11, rtol=1e-9)


def test_padding_does_not_change_functionals() -> None:
    made = Functionals(LogMel(), EVERY).double()
    waveform, lengths = clips(16000, 9001, 3)
    together, _ = made(waveform, lengths)
    for i, length in enumerate(lengths.tolist()):
        alone, _ = made(waveform[i : i + 1, :length], lengths[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, **EXACT)


@pytest.mark.parametrize("length", [1, 40])
def test_a_constant_clip_has_no_spread_and_no_trend(length: int) -> None:
    made = Functionals(Rows(), ["std", "skewness", "kurtosis", "slope", "mean"])
    vector, _ = made(torch.full((1, length), 0.7), torch.tensor([length]))
    np.testing.assert_allclose(vector[0, :, 0].numpy(), [0, 0, 0, 0, 0, 0, 0, 0, 0.7, 0.49], atol=1e-6)


def test_names_say_the_feature_and_the_functional() -> None:
    made = Functionals({"_target_": "ser.features.logmel.LogMel", "n_mels": 2, "window_ms": 64.0}, ["mean", "p50"])
    assert made.names == ("mel_0_mean", "mel_1_mean", "mel_0_p50", "mel_1_p50")


def test_functionals_have_finite_gradients_even_of_constant_clips() -> None:
    waveform = torch.cat([torch.zeros(1, 20), torch.randn(1, 20)]).requires_grad_()
    Functionals(Rows(), EVERY)(waveform, torch.tensor([20, 20]))[0].sum().backward()
    assert waveform.grad is not None
    assert torch.isfinite(waveform.grad).all()


@pytest.mark.parametrize("wrong", [[], ["median"], ["p101"], ["mean", "p"]])
def test_unknown_functionals_are_an_error(wrong: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"functionals must be among mean, std, .* p100; got"):
        Functionals(Rows(), wrong)
