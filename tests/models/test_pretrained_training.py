"""Training of a pretrained encoder: resumed, loaded without its checkpoint, rescored, with frozen weights unchanged."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import ser
from ser.errors import RunError
from ser.evaluation import predictions
from ser.inference.predictor import Predictor
from ser.models.checkpoint import LEFT_OUT
from ser.models.encoders.checkpoint import fetch
from ser.models.pretrained import Pretrained
from ser.protocols.plan import planned
from ser.rescoring.recompute import recompute
from ser.runs.folder import BEST
from ser.training import build, experiment
from tests.checkpoints import SYSTEMS, save_brisk
from tests.composed import composed
from tests.training.test_experiment import train_until_the_third_epoch

pytest.importorskip("transformers")
pytest.importorskip("peft")

AVERAGED = "callbacks=[averaging,early_stopping]"
LORA = "model.finetune.lora={rank: 2, alpha: 4, dropout: 0.1}"
MASK = "model.finetune.mask={time_share: 0.2, time_span: 3}"
TRAININGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "frozen": ("wav2vec2 base", ()),
    "frozen frames": (
        "hubert base",
        ("model.head.pool=attentive", "model.encoder.layer=1", AVERAGED, "callbacks.averaging.decay=0.9"),
    ),
    "top layer": ("data2vec", ("model.finetune.layers=1", MASK)),
    "top layer, averaged": ("wav2vec2 large", ("model.finetune.layers=1", AVERAGED, "callbacks.averaging.decay=0.9")),
    "all": ("wavlm base", ("model.finetune.layers=all", "model.finetune.gradient_checkpointing=true")),
    "all of it": (
        "whisper 80",
        ("model.finetune.layers=all", "model.finetune.front_end=true", "model.encoder.batch_seconds=4", MASK),
    ),
    "lora": ("whisper 80", (LORA,)),
    "lora in parts": (
        "hubert base",
        (LORA, "model.encoder.batch_seconds=4", "model.head.pool=mean", "model.head.hidden=null"),
    ),
}
"""Each family, each way to train, and what changes how."""


class Trained(NamedTuple):
    """A run of three epochs, and the same one stopped in the third and resumed; the encoder's checkpoint is deleted."""

    whole: Path
    resumed: Path
    stopped: Path  # a copy of the second, as it was before it went on
    before: dict[str, Tensor]  # the weights of the checkpoint
    clips: Path
    rounding: float  # that a running average adds to weights that do not change


QUICK = ("frozen", "all")
"""The kinds that are not left to the slow tests."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in TRAININGS],
)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_demo: Path, stores: Path
) -> Iterator[Trained]:
    name, settings = TRAININGS[request.param]
    home = tmp_path_factory.mktemp("trained")
    config = config_of(
        tiny_demo, stores, save_brisk(home / "checkpoint", name), name, "trainer.max_epochs=3", *settings
    )
    _, before = fetch(str(home / "checkpoint"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        whole = experiment.train(into(config, home / "whole"))
        train_until_the_third_epoch(into(config, home / "resumed"))
        shutil.copytree(home / "resumed", home / "stopped")
        resumed = experiment.train({**into(config, home / "resumed"), "ckpt": "last"})
        shutil.rmtree(home / "checkpoint")
        yield Trained(whole, resumed, home / "stopped", before, tiny_demo, 1e-6 * (AVERAGED in settings))


def config_of(demo: Path, stores: Path, checkpoint: Path, name: str, *overrides: str) -> dict[str, Any]:
    small = [f"+data.corpora.demo.root={demo}", "protocol.folds=3", f"paths.stores={stores}", "trainer.max_epochs=1"]
    small += ["trainer.enable_progress_bar=false", "trainer.accelerator=cpu", "batch_size=8", "logger=csv"]
    return composed(
        *small,
        f"model={SYSTEMS[name]}",
        f"model.encoder.checkpoint={checkpoint}",
        "model.head.hidden=16",
        "model.head.count=2",
        *overrides,
    )


def into(config: dict[str, Any], run: Path) -> dict[str, Any]:
    return {**config, "paths": {**config["paths"], "run": str(run)}}


def probabilities(folder: Path, file: str = "predictions.parquet") -> np.ndarray:
    return predictions.probabilities(predictions.read_predictions(folder / file))


def model_of(folder: Path) -> Pretrained:
    model = ser.load(folder).model
    assert isinstance(model, Pretrained)
    return model


def keys_of(file: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(file, weights_only=True)
    return checkpoint


@pytest.mark.slow
def test_resumed_run_equals_uninterrupted_run(trained: Trained) -> None:
    for file in ("predictions.parquet", "dev_predictions.parquet"):
        one, two = (predictions.read_predictions(folder / file) for folder in (trained.whole, trained.resumed))
        pd.testing.assert_frame_equal(one, two, rtol=0, atol=trained.rounding)
    one, two = (pd.read_csv(folder / "fold_0" / "metrics.csv") for folder in (trained.whole, trained.resumed))
    pd.testing.assert_frame_equal(one, two, rtol=0, atol=trained.rounding)
    assert list(one["epoch"]) == [0, 1, 2]
    assert one["train_loss"].nunique() == 3
    states = [keys_of(folder / "fold_0" / BEST)["state_dict"] for folder in (trained.whole, trained.resumed)]
    assert states[0].keys() == states[1].keys()
    for key in states[0]:
        torch.testing.assert_close(states[0][key], states[1][key], rtol=0, atol=trained.rounding)


def test_rescoring_agrees_without_the_pretrained_checkpoint(trained: Trained, stores: Path) -> None:
    """From waveforms, whatever features the run remembered."""
    recompute(trained.resumed, "corpora", str(stores), rescore=True)


def test_files_are_predicted_as_in_the_run(trained: Trained) -> None:
    model, table = model_of(trained.resumed), predictions.read_predictions(trained.resumed / "predictions.parquet")
    expected = predictions.probabilities(table)
    files = [next(trained.clips.glob(f"{utterance.partition('/')[2]}.*")) for utterance in table["utterance"]]
    for size in (1, 3, 8):
        predicted = Predictor(model).predict(files, batch_size=size, calibrated=False)[list(model.classes)].to_numpy()
        np.testing.assert_allclose(predicted, expected, atol=1e-5, rtol=0)
    assert np.ptp(expected, axis=0).max() > 1e-3, "the clips are told apart"


def test_untrained_weights_equal_the_checkpoints_bit_for_bit(trained: Trained) -> None:
    model = model_of(trained.resumed)
    encoder = model.features.encoder
    learned = {key for key, p in encoder.named_parameters() if p.requires_grad}
    after = encoder.state_dict()
    same = {k for k in after if k not in learned}
    assert same or model.finetune.front_end
    for key in same:
        torch.testing.assert_close(
            after[key], trained.before[key.replace(".base_layer", "")], rtol=0, atol=trained.rounding
        )
    unmoved = {k for k in learned if k in trained.before and torch.equal(after[k], trained.before[k])}
    assert not {k for k in unmoved if "k_proj.bias" not in k}, "a bias of keys has no gradient but rounding"
    assert bool(learned) == (not model.is_frozen)


def test_training_checkpoints_omit_unchanging_weights(trained: Trained) -> None:
    whole, last = (
        keys_of(trained.resumed / "fold_0" / BEST),
        keys_of(trained.stopped / "fold_0" / "checkpoints" / "last.ckpt"),
    )
    assert LEFT_OUT not in whole
    lacking = whole["state_dict"].keys() - {name.removeprefix("model.") for name in last["state_dict"]}
    model = model_of(trained.resumed)
    learned = {key for key, p in model.named_parameters() if p.requires_grad}
    assert lacking == {key for key in whole["state_dict"] if key.startswith("features.") and key not in learned}
    assert last.get(LEFT_OUT, 0) == len(lacking)
    if "current_model_state" in last:  # beside a running average
        assert last["current_model_state"].keys() == last["state_dict"].keys()


def test_unfinished_run_is_not_loaded(trained: Trained) -> None:
    if LEFT_OUT not in keys_of(trained.stopped / "fold_0" / BEST):
        assert model_of(trained.resumed).finetune.front_end, "all of it was trained, so that the file is whole"
        assert model_of(trained.stopped)
        return
    with pytest.raises(RunError, match=r"must be of a finished training; \d+ pretrained weights.*ckpt=last"):
        ser.load(trained.stopped)


def test_adapters_are_folded_into_the_weights(trained: Trained) -> None:
    model = model_of(trained.resumed)
    if model.finetune.lora is None:
        model.merge()
        assert model.state_dict().keys() == model_of(trained.resumed).state_dict().keys()
        return
    files = sorted(trained.clips.iterdir())[:6]
    before = Predictor(model).predict(files)[list(model.classes)].to_numpy()
    model.merge()
    assert not any("lora" in key for key in model.state_dict())
    np.testing.assert_allclose(
        Predictor(model).predict(files)[list(model.classes)].to_numpy(), before, atol=1e-6, rtol=0
    )


# ---- one at a time


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_training_checkpoints_omit_a_frozen_encoder(tiny_demo: Path, stores: Path, home: Path) -> None:
    save_brisk(home / "large", "hubert base", hidden_size=128, intermediate_size=512)
    config = config_of(
        tiny_demo, stores, home / "large", "hubert base", "model.head.count=1", f"paths.run={home / 'run'}"
    )
    folder = experiment.train(config)
    weights = (home / "large" / "model.safetensors").stat().st_size
    assert (folder / "fold_0" / "checkpoints" / "last.ckpt").stat().st_size < weights / 4
    assert (folder / "fold_0" / BEST).stat().st_size > weights


def test_resuming_with_another_encoder_is_refused(tiny_demo: Path, stores: Path, home: Path) -> None:
    save_brisk(home / "checkpoint", "data2vec")
    run = f"paths.run={home / 'run'}"
    config = config_of(tiny_demo, stores, home / "checkpoint", "data2vec", "trainer.max_epochs=3", run)
    train_until_the_third_epoch(config)
    save_brisk(home / "checkpoint", "data2vec", seed=1)
    with pytest.raises(RunError, match="must hold the weights that training started with"):
        experiment.train({**config, "ckpt": "last"})
    save_brisk(home / "checkpoint", "data2vec")
    assert experiment.train({**config, "ckpt": "last"})


@pytest.mark.parametrize("how", [("model.finetune.layers=1", MASK), ("model.finetune.layers=none",)])
def test_normalisation_statistics_are_of_features_in_evaluation_mode(
    how: tuple[str, ...], tiny_demo: Path, stores: Path, home: Path
) -> None:
    save_brisk(home / "checkpoint", "wav2vec2 base", hidden_dropout=0.5)
    config = config_of(tiny_demo, stores, home / "checkpoint", "wav2vec2 base", *how)
    data = build.build_data(config, planned(config), 0)
    model = build.build_model(config, data).eval()
    with torch.no_grad():
        batches = list(data.batches(data.split.train, torch.device("cpu"), 1))
        frames = torch.cat([model.features(b.waveform, b.lengths)[0][0] for b in batches], dim=1).double().numpy()
    fitted = ser.load(experiment.train(config)).model.normalise
    np.testing.assert_allclose(fitted.mean[:, 0], frames.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(fitted.deviation[:, 0], frames.std(axis=1), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["none", "1"])
def test_half_precision_training_works(how: str, tiny_demo: Path, stores: Path, home: Path) -> None:
    save_brisk(home / "checkpoint", "whisper 80")
    more = [f"model.finetune.layers={how}", "trainer.max_epochs=2", "model.finetune.lr=0.01"]
    half, single = (
        experiment.train(config_of(tiny_demo, stores, home / "checkpoint", "whisper 80", *more, precision))
        for precision in ("trainer.precision=bf16-mixed", "trainer.precision=32-true")
    )
    recompute(half, "corpora", str(stores), rescore=True)
    losses = [json.loads((folder / "metrics.json").read_text())["cross_entropy"] for folder in (half, single)]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
    assert not np.array_equal(probabilities(half), probabilities(single))
    states = [model_of(folder).state_dict() for folder in (half, single)]
    assert all(x.dtype == torch.float32 for x in states[0].values() if x.is_floating_point())
    # Statistics of a frozen encoder are taken in single precision whatever the training's is.
    if how == "none":
        assert torch.equal(states[0]["normalise.mean"], states[1]["normalise.mean"])
