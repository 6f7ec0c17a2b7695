"""Facts about every condition of the shipped suite, and the errors."""

from typing import Any

import pytest
import torch

from ser.errors import ConfigError
from ser.rescoring.robustness.conditions import Condition, Scene, Talkers, conditions_of, generator
from tests.rescoring.robustness.conftest import RATE, Batch, shipped

SHIPPED = conditions_of(shipped()["effects"])
RANDOM = {"white", "pink", "babble", "reverberation"}
every = pytest.mark.parametrize("condition", SHIPPED, ids=lambda c: c.name)


def heard(condition: Condition, batch: Batch, order: list[int], talkers: Talkers, seed: int = 0) -> Batch:
    """Return some clips of the batch, cut to the longest, with their own generators."""
    lengths = batch[1][order]
    draws = [generator(seed, condition.effect, f"x/{i}") for i in order]
    return condition.apply(batch[0][order][:, : int(lengths.max())], lengths, Scene(RATE, draws, talkers))


@every
def test_padding_stays_zero_and_samples_finite(condition: Condition, speech: Batch, talkers: Talkers) -> None:
    waveform, lengths = heard(condition, speech, [0, 1, 2, 3], talkers)
    assert waveform.dtype == torch.float32
    assert waveform.shape == (4, int(lengths.max()))
    assert len(set(lengths.tolist())) > 1 or condition.effect == "truncation"
    assert torch.isfinite(waveform).all()
    for row, n in zip(waveform, lengths.tolist(), strict=True):
        assert row[:n].any()
        assert not row[n:].any()


@every
def test_batch_and_order_do_not_change_a_clip(condition: Condition, speech: Batch, talkers: Talkers) -> None:
    together, lengths = heard(condition, speech, [0, 1, 2, 3], talkers)
    order = [2, 0, 3]
    mixed, mixed_lengths = heard(condition, speech, order, talkers)
    alone, alone_length = heard(condition, speech, [1], talkers)
    for row, n, i in [*zip(mixed, mixed_lengths, order, strict=True), (alone[0], alone_length[0], 1)]:
        assert n == lengths[i]
        error = (row[:n] - together[i, :n]).double()
        if condition.how.family == "codec":  # it rounds, and a rounding of single precision can tip one of its steps
            assert error.square().mean() < 1e-6 * together[i, :n].double().square().mean()
        else:
            assert error.abs().max() < 1e-5


@every
def test_random_effects_depend_on_the_seed(condition: Condition, speech: Batch, talkers: Talkers) -> None:
    first, again, other = (heard(condition, speech, [0, 1], talkers, seed)[0] for seed in (0, 0, 1))
    torch.testing.assert_close(first, again, atol=0, rtol=0)
    assert (not torch.equal(first, other)) == (condition.effect in RANDOM)


# Clips of under 2 s without silence stay as they are under the other two.
@pytest.mark.parametrize(
    "condition", [c for c in SHIPPED if c.name not in ("trim 30 dB", "truncation 2 s")], ids=lambda c: c.name
)
def test_every_condition_changes_the_speech(condition: Condition, speech: Batch, talkers: Talkers) -> None:
    after, _ = heard(condition, speech, [0], talkers)
    before = speech[0][:1, : int(speech[1][0])]
    assert after.shape != before.shape or not torch.allclose(after, before, atol=1e-4)


def test_names_are_unique_and_settings_tell_conditions_apart() -> None:
    assert len({c.name for c in SHIPPED}) == len({c.settings for c in SHIPPED}) == len(SHIPPED) == 35


def test_conditions_of_one_family_share_its_axis() -> None:
    axes = {(c.how.family, c.how.quantity, c.how.unit) for c in SHIPPED}
    assert len(axes) == len({family for family, *_ in axes})


GAIN = {"_target_": "ser.rescoring.robustness.channel.Gain", "levels": [1]}


@pytest.mark.parametrize(
    ("effects", "words"),
    [
        ({}, "at least one effect"),
        ({"a/b": GAIN}, "names of letters, digits"),
        ({"a": {**GAIN, "levels": []}}, "one or more different numbers"),
        ({"a": {**GAIN, "levels": [1, 1.0]}}, "one or more different numbers"),
        ({"a": {**GAIN, "levels": [float("nan")]}}, "between -100 and 100 dB"),
        ({"a": {**GAIN, "level": 1}}, "level"),
        ({"a": {"_target_": "ser.rescoring.robustness.channel.Loss", "levels": [1]}}, "no Loss"),
        ({"a": {"_target_": "subprocess.Popen", "args": "x"}}, "not a Effect"),
        ({"a": {"_target_": "ser.rescoring.robustness.channel.Clipping", "levels": [100]}}, "between 0 and 100 %"),
    ],
)
def test_invalid_effects_are_refused(effects: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        conditions_of(effects)
