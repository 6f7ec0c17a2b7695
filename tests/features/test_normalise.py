"""Normalisation against numpy over the valid frames, by training set and by speaker, and what it must not see."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ser.errors import ConfigError
from ser.features.normalise import RELEVANCE, Moments, Normalise
from tests.numerics import EXACT

LENGTHS = torch.tensor([50, 31, 7])


def clips(seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [5 * torch.randn(4, int(n), generator=generator).double() - 9 for n in LENGTHS]


def padded(parts: list[Tensor], value: float = 0.0) -> Tensor:
    longest = max(part.shape[1] for part in parts)
    return torch.stack([torch.nn.functional.pad(p, (0, longest - p.shape[1]), value=value) for p in parts])


def fitted(seed: int = 0, value: float = 0.0) -> Normalise:
    made = Normalise(4, "training").double()
    parts = clips(seed)
    made.fit([(padded(parts[:2], value), LENGTHS[:2]), (padded(parts[2:]), LENGTHS[2:])])
    return made


@pytest.mark.parametrize("by", ["utterance", "training"])
def test_mean_is_zero_and_deviation_one(by: str) -> None:
    made = fitted() if by == "training" else Normalise(4, "utterance").double()
    out = made(padded(clips()), LENGTHS)
    valid = [out[i, :, :n].numpy() for i, n in enumerate(LENGTHS.tolist())]
    for group in [np.concatenate(valid, axis=1)] if by == "training" else valid:
        np.testing.assert_allclose(group.mean(axis=1), 0, atol=1e-10)
        np.testing.assert_allclose(group.std(axis=1), 1, atol=1e-3)
    for i, n in enumerate(LENGTHS.tolist()):
        assert not out[i, :, n:].any()


@pytest.mark.parametrize("by", ["utterance", "training", "none"])
def test_values_in_the_padding_do_not_change_the_result(by: str) -> None:
    made = fitted() if by == "training" else Normalise(4, by).double()  # type: ignore[arg-type]
    clean, junk = (made(padded(clips(), value), LENGTHS) for value in (0.0, 1e4))
    torch.testing.assert_close(clean, junk, atol=0, rtol=0)
    for i, part in enumerate(clips()):
        alone = made(part[None], LENGTHS[i : i + 1])[0]
        torch.testing.assert_close(clean[i, :, : part.shape[1]], alone, **EXACT)


def test_by_utterance_is_blind_to_gain_and_channel() -> None:
    made = Normalise(4, "utterance").double()
    offset = torch.tensor([[1.0], [-3.0], [0.5], [4.0]])  # log power: a gain or a filter adds
    torch.testing.assert_close(
        made(padded(clips()), LENGTHS), made(padded([c + offset for c in clips()]), LENGTHS), **EXACT
    )


def test_training_statistics_are_numpys_over_all_valid_frames() -> None:
    frames = torch.cat(clips(), dim=1).double().numpy()
    for made in (fitted(), fitted(value=1e3)):
        np.testing.assert_allclose(made.mean[:, 0].numpy(), frames.mean(axis=1), rtol=1e-10)
        np.testing.assert_allclose(made.deviation[:, 0].numpy(), frames.std(axis=1), rtol=1e-10)


def test_a_small_deviation_far_from_zero_is_not_lost_to_rounding() -> None:
    frames = 1000 + 0.01 * torch.randn(1, 4, 5000, generator=torch.Generator().manual_seed(0))
    made = Normalise(4, "training").double()
    made.fit([(frames, torch.tensor([5000]))])
    np.testing.assert_allclose(made.deviation[:, 0], frames[0].double().numpy().std(axis=1), rtol=1e-3)


def test_other_training_data_give_other_features() -> None:
    x = padded(clips())
    assert not torch.allclose(fitted(0)(x, LENGTHS), fitted(1)(x, LENGTHS))


def test_statistics_travel_in_the_state() -> None:
    made, other = fitted(), Normalise(4, "training").double()
    other.load_state_dict(made.state_dict())
    torch.testing.assert_close(made(padded(clips()), LENGTHS), other(padded(clips()), LENGTHS), atol=0, rtol=0)


def test_a_constant_band_stays_finite() -> None:
    flat = torch.full((1, 4, 10), 3.0)
    assert not Normalise(4, "utterance")(flat, torch.tensor([10])).any()
    made = Normalise(4, "training").double()
    made.fit([(flat, torch.tensor([10]))])
    assert not made(flat, torch.tensor([10])).any()


def test_unknown_normalisation_is_named() -> None:
    with pytest.raises(ConfigError, match="must be utterance, training, speaker, corpus or none; got 'sex'"):
        Normalise(4, "sex")  # type: ignore[arg-type]


@pytest.mark.parametrize("relevance", [-1, float("inf"), "four", True])
def test_relevance_is_a_number_of_clips(relevance: object) -> None:
    with pytest.raises(ConfigError, match=r"normalise.relevance must be a number of clips of at least 0; got"):
        Normalise(4, "corpus", relevance=relevance)  # type: ignore[arg-type]


# ---- by speaker

SPEAKER = torch.tensor([2, 0, 2])
"""Of the three clips; speaker 1 has no clip, as a test speaker has none in training."""


def moments(parts: list[Tensor], speaker: Tensor, groups: int = 3, size: int = 2, junk: float = 0.0) -> Moments:
    made = Moments(groups, 4)
    for start in range(0, len(parts), size):
        some = parts[start : start + size]
        made.add(padded(some, junk), torch.tensor([p.shape[1] for p in some]), speaker[start : start + size])
    return made


def by_speaker(parts: list[Tensor], speaker: Tensor) -> dict[int, np.ndarray]:
    """Each speaker's frames, ``(feature, frame)`` in double precision."""
    frames = [part.double().numpy() for part in parts]
    return {
        who: np.concatenate([f for f, s in zip(frames, speaker.tolist(), strict=True) if s == who], axis=1)
        for who in speaker.unique().tolist()
    }


def trained() -> Normalise:
    made = Normalise(4, "speaker").double()
    made.fit_groups(moments(clips(), SPEAKER))
    return made


def one_speaker(parts: list[Tensor]) -> Moments:
    return moments(parts, torch.zeros(len(parts), dtype=torch.int64), groups=1)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("junk", [0.0, 1e6])
def test_moments_are_numpys_of_each_speakers_frames(size: int, junk: float) -> None:
    made = moments(clips(), SPEAKER, size=size, junk=junk)
    assert made.clips[:, 0].tolist() == [1, 0, 2]
    for s, frames in by_speaker(clips(), SPEAKER).items():
        np.testing.assert_allclose(made.mean()[s], frames.mean(axis=1), rtol=1e-9)
        np.testing.assert_allclose(made.variance()[s], frames.var(axis=1), rtol=1e-9)
    assert not made.mean()[1].any()


def test_unknown_speaker_uses_the_mean_over_training_speakers_not_clips() -> None:
    frames = by_speaker(clips(), SPEAKER)
    made = trained()
    np.testing.assert_allclose(made.mean[:, 0], np.mean([f.mean(axis=1) for f in frames.values()], axis=0), rtol=1e-10)
    spread = np.mean([f.var(axis=1) for f in frames.values()], axis=0)
    np.testing.assert_allclose(made.deviation[:, 0], np.sqrt(spread), rtol=1e-10)
    assert not np.allclose(made.mean[:, 0], np.concatenate(list(frames.values()), axis=1).mean(axis=1), rtol=1e-3)


def test_a_speakers_statistics_are_weighed_by_clips_against_those_of_training() -> None:
    """Reynolds et al., 2000, equations 11 to 14, with clips counted, and variances each about its own mean."""
    made = trained()
    prior, spread = made.mean[:, 0].double().numpy(), made.deviation[:, 0].double().numpy() ** 2
    parts, speaker = clips(1) + clips(2), torch.tensor([0, 0, 0, 0, 0, 1])
    found = made.statistics(moments(parts, speaker, groups=3))
    assert found.mean.shape == found.deviation.shape == (3, 4, 1)
    for s, n in ((0, 5), (1, 1)):
        frames = by_speaker(parts, speaker)[s]
        alpha = n / (n + RELEVANCE)
        mean = alpha * frames.mean(axis=1) + (1 - alpha) * prior
        variance = alpha * frames.var(axis=1) + (1 - alpha) * spread
        np.testing.assert_allclose(found.mean[s, :, 0], mean, rtol=1e-10)
        np.testing.assert_allclose(found.deviation[s, :, 0], np.sqrt(variance), rtol=1e-10)
    np.testing.assert_allclose(found.mean[2], made.mean, rtol=1e-10)  # of whom nothing is known
    np.testing.assert_allclose(found.deviation[2], made.deviation, rtol=1e-10)


def test_many_clips_outweigh_the_statistics_of_training() -> None:
    found = trained().statistics(one_speaker(clips(1) * 400))
    frames = np.concatenate(clips(1), axis=1)
    np.testing.assert_allclose(found.mean[0, :, 0], frames.mean(axis=1), rtol=5e-3)
    np.testing.assert_allclose(found.deviation[0, :, 0], frames.std(axis=1), rtol=5e-3)


def test_without_relevance_a_group_has_its_own_statistics_alone() -> None:
    made = Normalise(4, "corpus", relevance=0).double()
    made.fit_groups(moments(clips(), SPEAKER))
    found = made.statistics(moments(clips(1), SPEAKER))
    for s, frames in by_speaker(clips(1), SPEAKER).items():
        np.testing.assert_allclose(found.mean[s, :, 0], frames.mean(axis=1), rtol=1e-10)
        np.testing.assert_allclose(found.deviation[s, :, 0], frames.std(axis=1), rtol=1e-10)
    np.testing.assert_allclose(found.mean[1], made.mean, rtol=1e-10)  # of which nothing is known


def test_statistics_of_a_speaker_do_not_depend_on_other_speakers() -> None:
    made, parts = trained(), clips(1) + clips(2)
    speaker = torch.tensor([0, 1, 0, 1, 0, 2])
    together = made.statistics(moments(parts, speaker))
    kept = [i for i, s in enumerate(speaker.tolist()) if s == 1]
    alone = made.statistics(moments([parts[i] for i in kept], speaker[kept]))
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[1], other[1], rtol=1e-10, atol=0)
        assert not torch.allclose(one[0], other[0])


def test_each_clip_is_normalised_by_its_own_speaker() -> None:
    made = trained()
    statistics = made.statistics(moments(clips(), SPEAKER))
    out = made(padded(clips(), 1e4), LENGTHS, statistics.of(SPEAKER))
    for i, (part, s) in enumerate(zip(clips(), SPEAKER.tolist(), strict=True)):
        mean, deviation = (x[s].double() for x in statistics)
        expected = (part.double() - mean) / (deviation + made.epsilon)
        torch.testing.assert_close(out[i, :, : part.shape[1]], expected, **EXACT)
        assert not out[i, :, part.shape[1] :].any()


def test_adaptation_lasts_until_it_is_removed() -> None:
    made, features = trained(), padded(clips(3))
    assert made.adapted is None
    nobody = made(features, LENGTHS)
    torch.testing.assert_close(nobody[0], (features[0] - made.mean) / (made.deviation + made.epsilon))
    everywhere = torch.zeros(3, dtype=torch.int64)
    known, other = (made.statistics(one_speaker(clips(seed))) for seed in (3, 4))
    made.adapt(known)
    adapted = made(features, LENGTHS)
    torch.testing.assert_close(adapted, made(features, LENGTHS, known.of(everywhere)))
    assert not torch.allclose(adapted, nobody, atol=1e-2)
    assert not torch.allclose(made(features, LENGTHS, other.of(everywhere)), adapted, atol=1e-2), (
        "named ones come first"
    )
    assert list(made.state_dict()) == ["mean", "deviation"], "who was adapted to is no part of a checkpoint"
    made.adapt(None)
    assert torch.equal(made(features, LENGTHS), nobody)
