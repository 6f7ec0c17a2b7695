"""Crop and CutMix: which frames are kept or pasted, and what becomes of lengths and targets."""

import pytest
import torch

from ser.augment.crop import Crop
from ser.augment.cutmix import CutMix
from ser.errors import ConfigError


def ramp(*lengths: int) -> torch.Tensor:
    """Frames that hold their own number, from 1."""
    at = torch.arange(1.0, max(lengths) + 1).expand(len(lengths), 3, -1)
    return at * (at <= torch.tensor(lengths)[:, None, None])


def test_a_crop_is_one_stretch_of_at_least_its_share() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([100, 50, 7, 1] * 60)
    out, counts, _ = Crop(least=0.5)(ramp(*lengths.tolist()), lengths, torch.eye(240))
    assert (counts >= (lengths / 2).ceil()).all()
    assert (counts <= lengths).all()
    starts = set()
    for row, n, whole in zip(out[:, 0], counts.tolist(), lengths.tolist(), strict=True):
        assert torch.equal(row[:n].diff(), torch.ones(n - 1))
        assert 1 <= int(row[0]) <= int(row[n - 1]) <= whole
        assert not row[n:].any()
        starts.add(int(row[0]))
    assert len(starts) > 20


def test_cutmix_mixes_targets_in_proportion_to_the_pasted_frames() -> None:
    torch.manual_seed(0)
    count = 40
    lengths = torch.randint(1, 60, (count,))
    x = (
        torch.arange(1.0, count + 1)[:, None, None].expand(count, 3, 60)
        * (torch.arange(60) < lengths[:, None])[:, None]
    )
    target = torch.eye(count)
    out, same, soft = CutMix(most=0.7)(x, lengths, target)
    assert torch.equal(same, lengths)
    pasted = 0
    for i, n in enumerate(lengths.tolist()):
        row = out[i, 0, :n].long() - 1
        torch.testing.assert_close(soft[i], torch.bincount(row, minlength=count) / n)
        assert (row >= 0).all(), "padding was pasted"
        assert not out[i, 0, n:].any()
        assert int((row.diff() != 0).sum()) <= 2, "one stretch"
        pasted += int((row != i).sum())
    assert pasted > 100


@pytest.mark.parametrize("make", [lambda: Crop(least=0.0), lambda: Crop(least=1.2), lambda: CutMix(most=-1.0)])
def test_shares_out_of_range_are_refused(make: object) -> None:
    with pytest.raises(ConfigError, match=r"must be .*; got"):
        make()  # type: ignore[operator]
