import pytest
import torch
from torch import Tensor, nn

from ser.models.classifier import SpeechClassifier
from ser.pictures import attribution

pytest.importorskip("captum")
TASK = {
    "classes": ("calm", "sad"),
    "audio": {},
    "features": {"_target_": "ser.features.logmel.LogMel", "n_mels": 20},
    "normalise": {"_target_": "ser.features.normalise.Normalise", "by": "none"},
}
FRAMES = torch.tensor([30, 18])


class Weighted(SpeechClassifier):
    """Outputs that are weighted sums of the features, so that the attributions are known."""

    def __init__(self, task: dict[str, object]) -> None:
        super().__init__(task)
        self.net = nn.Linear(self.n_features, len(self.classes))

    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        logits: Tensor = self.net(features.sum(dim=2))
        return logits


@pytest.fixture(scope="module")
def weighted() -> SpeechClassifier:
    torch.manual_seed(0)
    return Weighted(TASK)


@pytest.fixture(scope="module")
def features(weighted: SpeechClassifier) -> Tensor:
    inside = torch.arange(30) < FRAMES[:, None, None]
    return torch.randn(2, weighted.n_features, 30) * inside


def test_attributions_of_a_weighted_sum_are_its_terms(weighted: SpeechClassifier, features: Tensor) -> None:
    target = torch.tensor([1, 0])
    shares, salient, missed = attribution.attributed(weighted, features, FRAMES, target, steps=4)
    weights = weighted.net.weight[target][..., None].detach()
    torch.testing.assert_close(shares, features * weights, rtol=1e-4, atol=1e-5)
    inside = (torch.arange(30) < FRAMES[:, None, None]).float()
    torch.testing.assert_close(salient, weights.abs() * inside, rtol=1e-4, atol=1e-6)
    assert float(missed.abs().max()) < 1e-4
    assert weighted.training  # as before


def test_frames_of_padding_have_no_share(weighted: SpeechClassifier, features: Tensor) -> None:
    shares, salient, _ = attribution.attributed(weighted, features, FRAMES, torch.tensor([0, 0]), steps=2)
    assert not shares[1, :, 18:].any()
    assert not salient[1, :, 18:].any()


def test_missing_captum_is_said(weighted: SpeechClassifier, features: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "find_spec", lambda name: None)
    with pytest.raises(attribution.ConfigError, match=r"pip install 'ser\[explain\]'"):
        attribution.attributed(weighted, features, FRAMES, torch.tensor([0, 0]), steps=2)


@pytest.mark.parametrize("frames", [1, 7, 40, 41])
def test_relative_time_keeps_the_sum(frames: int) -> None:
    values = torch.randn(1, 3, 50, dtype=torch.float64)
    binned = attribution.in_relative_time(values, torch.tensor([frames]), 40)
    torch.testing.assert_close(binned.sum(dim=2), values[..., :frames].sum(dim=2))
    assert binned.isfinite().all()


def test_relative_time_of_a_constant_is_constant() -> None:
    binned = attribution.in_relative_time(torch.ones(1, 1, 33, dtype=torch.float64), torch.tensor([33]), 40)
    torch.testing.assert_close(binned, torch.full((1, 1, 40), 33 / 40, dtype=torch.float64))
