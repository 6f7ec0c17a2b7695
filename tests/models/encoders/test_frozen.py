"""A frozen encoder as the features of any model: loaded without its checkpoint, never in training mode."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ser
from ser.corpora.demo import Demo
from ser.errors import ConfigError
from ser.evaluation import predictions
from ser.models.encoders.frozen import FrozenEncoder
from ser.runs.folder import RunFolder
from ser.training.experiment import train
from tests.checkpoints import save_brisk
from tests.conftest import Settings

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_brisk(tmp_path_factory.mktemp("checkpoint"), "wav2vec2 base")


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=logistic_regression", "features=encoder", "features.layer=2"],
        ["model=layer_average"],
        ["model=lda", "features=encoder", "features.summary=frames", "model.functionals=[mean, p50]"],
        ["model=bilstm", "features=encoder", "features.summary=frames", "features.layer=1", "augment=[]"],
    ],
    ids=["statistics", "layers", "functionals", "network"],
)
def test_run_predicts_without_the_checkpoint(
    settings: Settings, tmp_path: Path, checkpoint: Path, overrides: list[str]
) -> None:
    copy = Path(shutil.copytree(checkpoint, tmp_path / "tiny"))
    config = settings(
        *overrides, f"features.checkpoint={copy}", "trainer.max_epochs=1", f"paths.run={tmp_path / 'run'}"
    )
    run = RunFolder(train(config, terminal=False))
    shutil.rmtree(copy)
    assert run.about["encoder"]["checkpoint"] == "tiny"
    table = run.predictions.set_index("utterance")
    clips = {u.id: u.path for u in Demo().utterances() if u.id in table.index}
    chosen = list(clips)[:4]
    said = ser.load(run.path).predict([clips[id_] for id_ in chosen], calibrated=False)
    stored = predictions.probabilities(table.loc[chosen].reset_index())
    np.testing.assert_allclose(said[list(predictions.classes(table))].to_numpy(), stored, atol=1e-3)


def test_frozen_encoder_stays_in_evaluation_mode_and_learns_nothing(checkpoint: Path) -> None:
    made = FrozenEncoder(str(checkpoint)).train()
    assert not any(part.training for part in made.modules())
    assert not any(parameter.requires_grad for parameter in made.parameters())
    vector, frames = made(torch.randn(2, 8000), torch.tensor([8000, 5000]))
    assert vector.shape == (2, made.n_features, 1)
    assert frames.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layer": 9}, r"features\.layer must be from 0 to 2, or null for all; got 9"),
        ({"summary": "max"}, r"features\.summary must be frames, mean or statistics; got 'max'"),
        ({"sample_rate": 8000}, r"audio\.sample_rate must be 16000 for this encoder; got 8000"),
    ],
)
def test_wrong_settings_are_named(checkpoint: Path, settings: dict[str, object], words: str) -> None:
    make: Callable[..., FrozenEncoder] = FrozenEncoder
    with pytest.raises(ConfigError, match=words):
        make(str(checkpoint), **settings)
