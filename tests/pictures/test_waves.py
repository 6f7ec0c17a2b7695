"""Attributions over the waveform, of models that read it by a pretrained encoder."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from ser.datamodules.batch import Batch
from ser.models.classifier import SpeechClassifier
from ser.pictures import attribution
from ser.pictures import explain as pages
from ser.runs.folder import RunFolder
from ser.training.build import build_model
from ser.training.experiment import train
from tests.checkpoints import SYSTEMS, save_brisk
from tests.composed import composed
from tests.conftest import Settings
from tests.pictures.test_explore import texts

pytest.importorskip("captum")
CLASSES = ("calm", "happy", "sad")
RATE = 16000


def clip_of(waveform: Tensor) -> Batch:
    zero = torch.zeros(1, dtype=torch.int64)
    return Batch(waveform[None], torch.tensor([len(waveform)]), zero, zero, zero, zero)


class Samples(nn.Module):
    """The first 50 samples as features, one frame."""

    n_features = 50

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return waveform[:, :50, None], torch.ones_like(lengths)


class Weighted(SpeechClassifier):
    """Outputs that are weighted sums of samples, so that the attributions are known."""

    def __init__(self, task: dict[str, object]) -> None:
        super().__init__(task)
        self.net = nn.Linear(self.n_features, len(self.classes))

    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        logits: Tensor = self.net(features[..., 0])
        return logits


def test_attributions_of_a_weighted_sum_of_samples_are_its_terms() -> None:
    torch.manual_seed(0)
    by_none = {"_target_": "ser.features.normalise.Normalise", "by": "none"}
    model = Weighted({"classes": CLASSES, "audio": {}, "features": Samples(), "normalise": by_none})
    clip = clip_of(torch.randn(80))
    shares, salient, missed = attribution.waveform_attributed(model, clip, None, 2, steps=4)
    weights = nn.functional.pad(model.net.weight[2].detach(), (0, 30))
    expected = weights * (clip.waveform - attribution.noise_like(clip.waveform))[0]
    torch.testing.assert_close(shares.float(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(salient.float(), weights.abs())
    assert abs(missed) < 1e-4
    assert model.training  # as before


MODELS = {
    "whisper": ("whisper 80",),
    "whisper, attentive": ("whisper 80", "model.head.pool=attentive"),
    "group norm": ("wav2vec2 base",),
    "top layer trained": ("wav2vec2 base", "model.finetune.layers=1"),
    "layer norm": ("wav2vec2 large",),
    "all layers trained": ("hubert base", "model.finetune.layers=all"),
}


def model_of(folder: Path, name: str, *overrides: str) -> SpeechClassifier:
    """An untrained model whose features are normalised by those of a noise."""
    checkpoint = f"model.encoder.checkpoint={save_brisk(folder / 'checkpoint', name)}"
    config = composed(f"model={SYSTEMS[name]}", checkpoint, "augment=[]", *overrides)
    data = SimpleNamespace(classes=CLASSES, stamps=(), trained_on=(), scale=lambda: None)
    torch.manual_seed(0)
    model = build_model(config, data)  # type: ignore[arg-type]
    with torch.no_grad():
        features, _ = model.extract(0.1 * torch.randn(4, RATE), torch.full((4,), RATE))
        model.normalise.mean.copy_(features.mean(dim=(0, 2))[:, None])
        model.normalise.deviation.copy_(features.std(dim=(0, 2))[:, None] + 1e-2)
    return model


@pytest.mark.parametrize("how", MODELS.values(), ids=MODELS)
def test_integrated_gradients_of_an_encoder_sum_to_the_difference_of_outputs(
    how: tuple[str, ...], tmp_path: Path
) -> None:
    model = model_of(tmp_path, *how)
    time = torch.arange(RATE // 2) / RATE
    clip = clip_of(0.2 * torch.sin(2 * torch.pi * (200 + 300 * time) * time))
    shares, salient, missed = attribution.waveform_attributed(model, clip, None, 1, steps=128)
    with model.evaluating():
        one, other = (model(x, clip.lengths)[0, 1] for x in (clip.waveform, attribution.noise_like(clip.waveform)))
    difference = float(one - other)
    assert float(shares.sum()) - difference == pytest.approx(missed, abs=1e-4)
    drawn = float(attribution.in_frames(shares, RATE).abs().sum())
    assert abs(missed) < 0.02 * drawn  # of 128 points on a path with kinks; the outputs of random nets hardly differ
    assert salient.min() >= 0
    assert salient.max() > 0


def test_baseline_is_as_loud_as_the_clip_and_the_same_each_time() -> None:
    clips = torch.stack([torch.sin(torch.arange(400.0)), torch.zeros(400)])
    noise = attribution.noise_like(clips)
    torch.testing.assert_close(noise.square().mean(dim=1), clips.square().mean(dim=1))
    assert torch.equal(noise, attribution.noise_like(clips))
    assert not noise[1].any()


@pytest.mark.slow
def test_page_of_an_encoder_shows_clips_and_mistakes(tmp_path: Path, small_settings: Settings, stores: Path) -> None:
    checkpoint = f"model.encoder.checkpoint={save_brisk(tmp_path / 'checkpoint', 'whisper 80')}"
    settings = small_settings("model=whisper", checkpoint, "trainer.max_epochs=1", f"paths.run={tmp_path / 'run'}")
    run = train(settings, terminal=False)

    def explain(*overrides: str) -> str:
        about = f"run={run}", f"paths.stores={stores}", f"out={tmp_path / 'page'}", "device=cpu", "map=tsne", "steps=2"
        return texts(pages.explain(OmegaConf.create(composed(*about, "clips=1", *overrides, config="explain"))))

    seen = explain("mistakes=1")
    assert "white noise as loud as the clip" in seen
    assert "The surest mistakes, towards what was predicted: log-mel energies" in seen
    assert {"attributions", "mistakes", "pca_class"} <= {file.stem for file in (tmp_path / "page").glob("*.png")}
    utterance = RunFolder(run).predictions["utterance"].iloc[3]
    seen = explain("mistakes=0", f"clip={utterance}")
    assert (
        f"The clip asked for: log-mel energies, integrated gradients and saliency by 20 ms. 1 clip: {utterance}."
        in seen
    )
