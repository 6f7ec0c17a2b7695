"""Each loss against torch or its published formula, at the values where they agree and where they do not."""

import pytest
import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.evaluation.agreement import ccc, moments
from ser.training.losses.ccc import CCC
from ser.training.losses.cross_entropy import CrossEntropy
from ser.training.losses.focal import Focal
from ser.training.losses.logit_adjustment import LogitAdjustment
from ser.training.losses.mse import MSE

COUNTS = {"angry": 10, "neutral": 60, "sad": 30}
TARGET = torch.tensor([0, 1, 1, 2])


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def soft(target: Tensor) -> Tensor:
    return nn.functional.one_hot(target, 3).float()


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weights", [None, "balanced"])
def test_cross_entropy_loss_equals_torch(logits: Tensor, weights: str | None, smoothing: float) -> None:
    loss = CrossEntropy(COUNTS, weights, smoothing)  # type: ignore[arg-type]
    if weights is None:
        expected = nn.functional.cross_entropy(logits, TARGET, label_smoothing=smoothing)
    else:  # torch would weight the smoothed part by each class; here a clip weighs what its own class does
        weight = torch.tensor([100 / (3 * n) for n in COUNTS.values()])[TARGET]
        each = nn.functional.cross_entropy(logits, TARGET, label_smoothing=smoothing, reduction="none")
        expected = (weight * each).sum() / weight.sum()
    torch.testing.assert_close(loss(logits, soft(TARGET)), expected)


def test_balanced_weights_give_classes_equal_totals_and_clips_mean_1() -> None:
    weights = CrossEntropy(COUNTS, "balanced").class_weights
    assert weights is not None
    totals = weights * torch.tensor(list(COUNTS.values()))
    torch.testing.assert_close(totals, torch.full((3,), 100 / 3))


def test_focal_loss_is_cross_entropy_without_gamma_and_downweights_easy_clips_with_it(logits: Tensor) -> None:
    torch.testing.assert_close(
        Focal(COUNTS, gamma=0.0)(logits, soft(TARGET)), CrossEntropy(COUNTS)(logits, soft(TARGET))
    )
    p = torch.tensor([[0.9, 0.05, 0.05]])
    given = Focal(COUNTS, gamma=2.0)(p.log(), soft(torch.tensor([0])))
    torch.testing.assert_close(given, -(0.1**2) * torch.log(torch.tensor(0.9)))


def test_logit_adjustment_at_the_prior_equals_its_entropy(logits: Tensor) -> None:
    """A model that knows nothing has equal logits; adjusted, it predicts the prior."""
    prior = torch.tensor([0.1, 0.6, 0.3])
    given = LogitAdjustment(COUNTS)(torch.zeros(4, 3), soft(TARGET))
    torch.testing.assert_close(given, -prior.log()[TARGET].mean())
    torch.testing.assert_close(
        LogitAdjustment(COUNTS, tau=0.0)(logits, soft(TARGET)), CrossEntropy(COUNTS)(logits, soft(TARGET))
    )


def test_absent_class_is_named() -> None:
    for loss in (lambda c: CrossEntropy(c, "balanced"), LogitAdjustment):
        with pytest.raises(ConfigError, match="none of neutral"):
            loss({"angry": 3, "neutral": 0})
    assert torch.isfinite(CrossEntropy({"angry": 3, "neutral": 0})(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])))


def numbers(seed: int, batch: int = 12) -> Tensor:
    return torch.randn(batch, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_concordance_loss_is_one_minus_the_published_score() -> None:
    outputs, target = numbers(0), 0.5 * numbers(1) + numbers(0) + 0.3
    score = ccc(moments(target.numpy(), outputs.numpy()).sum(axis=0))
    torch.testing.assert_close(float(CCC({})(outputs, target)), 1 - float(score), atol=1e-7, rtol=0)
    torch.testing.assert_close(float(CCC({})(target, target)), 0.0, atol=1e-7, rtol=0)
    torch.testing.assert_close(CCC({})(3 * outputs + 1, 3 * target + 1), CCC({})(outputs, target), atol=1e-7, rtol=0)


def test_concordance_loss_has_the_gradient_of_its_finite_differences() -> None:
    outputs, target = numbers(0).requires_grad_(), numbers(1)
    assert torch.autograd.gradcheck(lambda y: CCC({})(y, target), outputs)


def test_batch_without_spread_teaches_nothing_and_breaks_nothing() -> None:
    outputs = torch.zeros(1, 2, requires_grad=True)
    CCC({})(outputs, torch.ones(1, 2)).backward()
    assert outputs.grad is not None
    torch.testing.assert_close(outputs.grad, torch.zeros(1, 2))


def test_squared_error_loss_equals_torch() -> None:
    outputs, target = numbers(0), numbers(1)
    torch.testing.assert_close(MSE({})(outputs, target), nn.functional.mse_loss(outputs, target))
