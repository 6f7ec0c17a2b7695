"""Heads on the layers of an encoder: their mix, their pooling, and several of them side by side."""

import pytest
import torch
from torch import nn

from ser.datamodules.batch import Batch
from ser.models.head import Head
from ser.models.pooling import LayerMix
from ser.models.pretrained import Pretrained
from tests.models.conftest import MakeCheckpoint, MakeModel, training_of
from tests.numerics import EXACT


def test_mix_starts_as_mean_and_can_select_one_layer() -> None:
    layers = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    mix = LayerMix(3)
    torch.testing.assert_close(mix(layers), layers.mean(dim=1))
    with torch.no_grad():
        mix.scores.copy_(torch.tensor([0.0, 10.0, 0.0]))  # times the gain: all of the weight
    torch.testing.assert_close(mix(layers), layers[:, 1])
    assert float(mix.weights.sum()) == pytest.approx(1.0)


@pytest.mark.parametrize(("attend", "hidden"), [(False, None), (False, 7), (True, None), (True, 7)])
def test_head_ignores_padding(attend: bool, hidden: int | None) -> None:
    torch.manual_seed(0)
    head = Head(n_layers=3, size=6, attend=attend, hidden=hidden, n_classes=4, dropout=0.5).eval().double()
    layers = torch.randn(1, 3, 6, 5 if attend else 1).double()
    padded = nn.functional.pad(layers, (0, 4))
    frames = torch.tensor([layers.shape[-1]])
    torch.testing.assert_close(head(padded, frames), head(layers, frames), **EXACT)


def test_head_without_hidden_layer_is_linear_in_the_mix() -> None:
    torch.manual_seed(0)
    head = Head(n_layers=2, size=6, attend=False, hidden=None, n_classes=4, dropout=0.5).eval()
    layers = torch.randn(3, 2, 6, 1)
    linear = head.classify[1]
    expected = layers.mean(dim=1)[..., 0] @ linear.weight.T + linear.bias
    torch.testing.assert_close(head(layers, torch.ones(3, dtype=torch.int64)), expected)


def pretrained(make_model: MakeModel, make_checkpoint: MakeCheckpoint, *overrides: str) -> Pretrained:
    model = make_model("whisper", f"model.encoder.checkpoint={make_checkpoint('whisper 80')}", *overrides)
    assert isinstance(model, Pretrained)
    return model


def test_head_probabilities_are_averaged_and_heads_learn_separately(
    make_model: MakeModel, make_checkpoint: MakeCheckpoint
) -> None:
    model = pretrained(make_model, make_checkpoint, "model.head.count=3").eval()
    features, frames = torch.randn(5, model.n_features, 1), torch.ones(5, dtype=torch.int64)
    layers = features.view(5, model.features.n_layers, model.features.size, 1)
    each = torch.stack([head(layers, frames) for head in model.heads])
    assert float((each[0] - each[1]).abs().max()) > 0.01
    torch.testing.assert_close(model.classify(features, frames).softmax(dim=1), each.softmax(dim=2).mean(dim=0))
    target = torch.tensor([0, 1, 2, 3, 4])
    losses = [nn.functional.cross_entropy(logits, target) for logits in each]
    given = training_of(model, "loss.label_smoothing=0").training_step(
        Batch(torch.empty(5, 0), frames, target, target, target, target, (features, frames))
    )
    torch.testing.assert_close(given, torch.stack(losses).mean())


def test_numbers_of_heads_are_averaged(make_model: MakeModel, make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = f"model.encoder.checkpoint={make_checkpoint('whisper 80')}"
    scale = {"mean": [0.0, 0.0], "deviation": [1.0, 1.0]}
    model = make_model("whisper", checkpoint, "model.head.count=2", classes=("arousal", "valence"), scale=scale).eval()
    features, frames = torch.randn(5, model.n_features, 1), torch.ones(5, dtype=torch.int64)
    one, two = model.outputs(features, frames)
    torch.testing.assert_close(model.classify(features, frames), (one + two) / 2)


def test_swap_gives_a_clip_the_mean_of_another_training_speaker(
    make_model: MakeModel, make_checkpoint: MakeCheckpoint
) -> None:
    model = pretrained(make_model, make_checkpoint, "model.head.swap=1.0")
    torch.manual_seed(0)
    n = model.n_features
    model.normalise.mean.copy_(torch.randn(n, 1))
    model.normalise.deviation.copy_(torch.rand(n, 1) + 0.5)
    model._voices = torch.randn(4, n, 1)
    model._training = torch.tensor([1, 3])  # the others are of dev and test
    features, frames, speaker = torch.randn(64, n, 1), torch.ones(64, dtype=torch.int64), torch.tensor([1, 3] * 32)
    batch = Batch(torch.empty(64, 0), frames, frames, frames, speaker, speaker, (features, frames))
    given = model.normalise(features, frames, model.training_statistics(batch))
    own = features - model._voices[speaker]
    lent = [(own + model._voices[i] - model.normalise.mean) / (model.normalise.deviation + 1e-3) for i in (1, 3)]
    nearest = torch.stack([(given - other).abs().amax(dim=(1, 2)) for other in lent])
    assert float(nearest.min(dim=0).values.max()) < 1e-4
    assert 16 < int((nearest[0] < nearest[1]).sum()) < 48  # 32 in the mean, 4 the deviation
    half = pretrained(make_model, make_checkpoint, "model.head.swap=0.0")
    assert half.training_statistics(batch) is None
