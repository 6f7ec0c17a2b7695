"""A model that looks at the padding of a batch is refused before it is trained."""

import pytest
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.models.classifier import Config, SpeechClassifier
from ser.protocols.plan import planned
from ser.training import build, experiment
from ser.training.padding import check_padding
from tests.conftest import Settings


class MeanSpectrum(SpeechClassifier):
    """Divides by the lengths, as it should, or by the size of the batch's longest clip."""

    def __init__(self, task: Config, blind: bool) -> None:
        super().__init__(task)
        self.blind = blind
        self.net = nn.Linear(self.n_features, len(self.classes))

    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        logits: Tensor = self.net(features.mean(dim=-1) if self.blind else features.sum(dim=-1) / lengths[:, None])
        return logits


def test_model_that_uses_lengths_passes_and_model_that_depends_on_padding_fails(settings: Settings) -> None:
    config = settings()
    data = build.build_data(config, planned(config), 0)
    target = f"{MeanSpectrum.__module__}.{MeanSpectrum.__qualname__}"
    right, wrong = (
        build.build_model({**config, "model": {"_target_": target, "blind": blind}}, data) for blind in (False, True)
    )
    check_padding(right, data)
    with pytest.raises(ConfigError, match=r"must not depend on padding.*MeanSpectrum.*lengths.*frame_mask"):
        check_padding(wrong, data)


def test_model_that_depends_on_padding_is_refused_before_the_first_epoch(settings: Settings) -> None:
    target = f"{MeanSpectrum.__module__}.{MeanSpectrum.__qualname__}"
    with pytest.raises(ConfigError, match="must not depend on padding"):
        experiment.train({**settings(), "model": {"_target_": target, "blind": True}})
