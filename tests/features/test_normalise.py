"""Normalisation against numpy over the valid frames, and what it must not see."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ser.errors import ConfigError
from ser.features.normalise import Normalise

LENGTHS = torch.tensor([50, 31, 7])


def clips(seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [5 * torch.randn(4, int(n), generator=generator) - 9 for n in LENGTHS]


def padded(parts: list[Tensor], value: float = 0.0) -> Tensor:
    longest = max(part.shape[1] for part in parts)
    return torch.stack([torch.nn.functional.pad(p, (0, longest - p.shape[1]), value=value) for p in parts])


def fitted(seed: int = 0, value: float = 0.0) -> Normalise:
    made = Normalise(4, "training")
    parts = clips(seed)
    made.fit([(padded(parts[:2], value), LENGTHS[:2]), (padded(parts[2:]), LENGTHS[2:])])
    return made


@pytest.mark.parametrize("by", ["utterance", "training"])
def test_mean_is_zero_and_deviation_one(by: str) -> None:
    made = fitted() if by == "training" else Normalise(4, "utterance")
    out = made(padded(clips()), LENGTHS)
    valid = [out[i, :, :n].numpy() for i, n in enumerate(LENGTHS.tolist())]
    for group in [np.concatenate(valid, axis=1)] if by == "training" else valid:
        np.testing.assert_allclose(group.mean(axis=1), 0, atol=1e-5)
        np.testing.assert_allclose(group.std(axis=1), 1, atol=1e-3)
    for i, n in enumerate(LENGTHS.tolist()):
        assert not out[i, :, n:].any()


@pytest.mark.parametrize("by", ["utterance", "training", "none"])
def test_padding_is_not_seen_whatever_stands_there(by: str) -> None:
    made = fitted() if by == "training" else Normalise(4, by)  # type: ignore[arg-type]
    clean, junk = (made(padded(clips(), value), LENGTHS) for value in (0.0, 1e4))
    torch.testing.assert_close(clean, junk, atol=0, rtol=0)
    for i, part in enumerate(clips()):
        alone = made(part[None], LENGTHS[i : i + 1])[0]
        torch.testing.assert_close(clean[i, :, : part.shape[1]], alone, atol=2e-6, rtol=0)


def test_by_utterance_is_blind_to_gain_and_channel() -> None:
    made = Normalise(4, "utterance")
    offset = torch.tensor([[1.0], [-3.0], [0.5], [4.0]])  # log power: a gain or a filter adds
    torch.testing.assert_close(
        made(padded(clips()), LENGTHS), made(padded([c + offset for c in clips()]), LENGTHS), atol=1e-5, rtol=0
    )


def test_training_statistics_are_numpys_over_all_valid_frames() -> None:
    frames = torch.cat(clips(), dim=1).double().numpy()
    for made in (fitted(), fitted(value=1e3)):
        np.testing.assert_allclose(made.mean[:, 0].numpy(), frames.mean(axis=1), rtol=1e-6)
        np.testing.assert_allclose(made.deviation[:, 0].numpy(), frames.std(axis=1), rtol=1e-6)


def test_a_small_deviation_far_from_zero_is_not_lost_to_rounding() -> None:
    frames = 1000 + 0.01 * torch.randn(1, 4, 5000, generator=torch.Generator().manual_seed(0))
    made = Normalise(4, "training")
    made.fit([(frames, torch.tensor([5000]))])
    np.testing.assert_allclose(made.deviation[:, 0], frames[0].double().numpy().std(axis=1), rtol=1e-3)


def test_other_training_data_give_other_features() -> None:
    x = padded(clips())
    assert not torch.allclose(fitted(0)(x, LENGTHS), fitted(1)(x, LENGTHS))


def test_statistics_travel_in_the_state() -> None:
    made, other = fitted(), Normalise(4, "training")
    other.load_state_dict(made.state_dict())
    torch.testing.assert_close(made(padded(clips()), LENGTHS), other(padded(clips()), LENGTHS), atol=0, rtol=0)


def test_a_constant_band_stays_finite() -> None:
    flat = torch.full((1, 4, 10), 3.0)
    assert not Normalise(4, "utterance")(flat, torch.tensor([10])).any()
    made = Normalise(4, "training")
    made.fit([(flat, torch.tensor([10]))])
    assert not made(flat, torch.tensor([10])).any()


def test_an_unknown_way_is_named() -> None:
    with pytest.raises(ConfigError, match="utterance, training, speaker, none, not 'sex'"):
        Normalise(4, "sex")  # type: ignore[arg-type]
