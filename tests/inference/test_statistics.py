"""Normalisation by the training set is by the training set alone, and is what the run's checkpoint holds."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

import ser
from ser.audio.decode import read_audio
from ser.protocols.plan import planned
from ser.training import build, experiment
from tests.conftest import Settings

OVERRIDES = ["normalise=training", "trainer.max_epochs=1", "labels=native"]


def statistics(settings: Settings, root: Path, run: Path) -> tuple[Tensor, Tensor]:
    folder = experiment.train(settings(*OVERRIDES, f"data.corpora.demo.root={root}", f"paths.run={run}"))
    model = ser.load(folder).model
    return model.normalise.mean, model.normalise.deviation


def copied(tiny_demo: Path, root: Path, louder: set[str]) -> Path:
    """A copy of the corpus with some clips made louder and noisier, at the length that they had."""
    root.mkdir()
    generator = np.random.default_rng(0)
    for clip in sorted(tiny_demo.iterdir()):
        if clip.stem in louder:
            samples, rate = read_audio(clip)
            samples = np.clip(samples + 0.2 * generator.standard_normal(len(samples)), -1, 1)
            soundfile.write(root / clip.name, samples, rate, format="OGG", subtype="VORBIS")
        else:
            shutil.copy(clip.resolve(), root / clip.name)
    return root


@pytest.mark.slow
def test_statistics_are_of_training_clips_only(settings: Settings, tiny_demo: Path, tmp_path: Path) -> None:
    config = settings(*OVERRIDES)
    data = build.build_data(config, planned(config), 0)
    stems = data.labelled.manifest["id"].str.partition("/")[2]
    train, dev, test = (set(stems.iloc[rows]) for rows in data.split.sides().values())
    plain = statistics(settings, copied(tiny_demo, tmp_path / "same", set()), tmp_path / "run0")
    others = statistics(settings, copied(tiny_demo, tmp_path / "others", dev | test), tmp_path / "run1")
    one = statistics(settings, copied(tiny_demo, tmp_path / "one", {min(train)}), tmp_path / "run2")
    for before, after in zip(plain, others, strict=True):
        torch.testing.assert_close(after, before, atol=0, rtol=0)
    for before, after in zip(plain, one, strict=True):
        assert float((after - before).abs().max()) > 1e-3

    # Independently: numpy over the frames of the training side, read straight from the store.
    model = build.build_model(settings(*OVERRIDES), data)
    frames = []
    for _, clip in data.labelled.manifest.iloc[data.split.train].iterrows():
        samples = data.plan.stores[0].samples[clip["start"] : clip["start"] + clip["length"]].astype(np.float32) / 32768
        features, _ = model.features(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
        frames.append(features[0].double().numpy())
    joined = np.concatenate(frames, axis=1)
    np.testing.assert_allclose(plain[0][:, 0], joined.mean(axis=1), atol=1e-4)
    np.testing.assert_allclose(plain[1][:, 0], joined.std(axis=1), atol=1e-4)
