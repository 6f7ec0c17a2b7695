"""Muon against torch's own Muon and AdamW; the schedules at their ends."""

from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from ser.errors import ConfigError
from ser.training.optimizers.muon import Muon, orthogonalised
from ser.training.schedules.constant import Constant
from ser.training.schedules.cosine import Cosine
from ser.training.schedules.one_cycle import OneCycle


def steps(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, count: int = 4) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    for _ in range(count):
        parameter.grad = torch.randn(parameter.shape, generator=random)
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_matrix_steps_equal_torchs_muon(shape: tuple[int, int]) -> None:
    first, second = (nn.Parameter(torch.linspace(-1, 1, 24).reshape(shape)) for _ in range(2))
    settings = {"lr": 0.01, "weight_decay": 0.1, "momentum": 0.9}
    own = steps(Muon([first], **settings), first)  # type: ignore[arg-type]
    reference = torch.optim.Muon([second], adjust_lr_fn="match_rms_adamw", **settings)
    # The iterations are the same operations; a step is scaled in another order, by roundings of float32.
    torch.testing.assert_close(own, steps(reference, second))


def test_vector_steps_equal_adamw() -> None:
    first, second = (nn.Parameter(torch.linspace(-1, 1, 5)) for _ in range(2))
    own = steps(Muon([first], lr=0.01, weight_decay=0.1), first)
    torch.testing.assert_close(own, steps(torch.optim.AdamW([second], 0.01, weight_decay=0.1), second))


def test_convolution_steps_equal_those_of_its_filter_matrix() -> None:
    filters = nn.Parameter(torch.linspace(-1, 1, 54).reshape(3, 2, 3, 3))
    matrix = nn.Parameter(filters.detach().reshape(3, 18).clone())
    moved = steps(Muon([filters], lr=0.01), filters)
    random = torch.Generator().manual_seed(1)
    optimizer = Muon([matrix], lr=0.01)
    for _ in range(4):
        matrix.grad = torch.randn(filters.shape, generator=random).reshape(3, 18)
        optimizer.step()
    torch.testing.assert_close(moved.reshape(3, 18), matrix.detach(), atol=0, rtol=0)


def test_muon_update_has_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalised(torch.randn(8, 5, generator=torch.Generator().manual_seed(0))).float())
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.3


def test_muon_resumes_from_its_state() -> None:
    for start in (torch.linspace(-1, 1, 12).reshape(4, 3), torch.linspace(-1, 1, 4)):
        one, two = nn.Parameter(start.clone()), nn.Parameter(torch.zeros_like(start))
        first, second = Muon([one]), Muon([two])
        two.data.copy_(steps(first, one, 2))
        second.load_state_dict(deepcopy(first.state_dict()))
        torch.testing.assert_close(steps(first, one, 2), steps(second, two, 2), atol=0, rtol=0)


def rates(kind: type[LRScheduler], **settings: float) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = kind(optimizer, steps=100, **settings)  # type: ignore[call-arg]
    found = []
    for _ in range(100):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return found


def test_schedules_rise_to_the_peak_and_end_as_documented() -> None:
    cosine, constant, cycle = (rates(kind, warmup=0.1) for kind in (Cosine, Constant, OneCycle))
    for found in (cosine, constant, cycle):
        assert max(found) == pytest.approx(2.0, rel=1e-3)
        assert all(a < b for a, b in pairwise(found[:10]))
    assert cosine[-1] < 0.01
    assert set(constant[10:]) == {2.0}
    assert cycle[0] == pytest.approx(2.0 / 25)
    assert cycle[-1] < 0.01
    assert cosine[55] == pytest.approx(1.0)  # halfway between the 10th step and the 100th


def test_warmup_outside_0_to_1_is_refused() -> None:
    for kind in (Cosine, Constant, OneCycle):
        with pytest.raises(ConfigError, match=r"schedule\.warmup must be a share"):
            rates(kind, warmup=10)
