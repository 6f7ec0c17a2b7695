"""Quantiles of known values are those of torch's nanquantile, and have none where nothing is known."""

import pytest
import torch

from ser.features.quantile import quantile


@pytest.mark.parametrize("share", [0.0, 0.35, 0.5, 0.99, 1.0])
def test_quantiles_are_those_of_torch(share: float) -> None:
    random = torch.Generator().manual_seed(0)
    values, known = torch.randn(6, 41, generator=random), torch.rand(6, 41, generator=random) > 0.5
    known[4] = torch.arange(41) == 7
    known[5] = False
    expected = torch.where(known, values, torch.nan).nanquantile(share, dim=-1, keepdim=True)
    torch.testing.assert_close(quantile(values, known, share), expected, equal_nan=True)
