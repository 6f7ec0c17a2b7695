"""A published model is read without running code: what a stranger could put into its files is refused in a sentence."""

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ser.errors import ConfigError, RunError, SerError
from ser.models.checkpoint import checkpoint_from, model_from, read_checkpoint
from ser.models.published import MOST_FACTS, read_published, write_published
from ser.models.published_files import FACTS, PIPELINE, WEIGHTS
from ser.runtime.files import sha256_of
from tests.models.conftest import MakeModel

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def folder(make_model: MakeModel, tmp_path: Path) -> Path:
    """A published CNN."""
    pytest.importorskip("safetensors")
    write_published(checkpoint_from(make_model("cnn")), tmp_path, {"ser": "0.1.0"})
    return tmp_path


def rewritten(folder: Path, change: Change) -> Path:
    """Change what a model's facts say; the digests are made to fit."""
    facts = json.loads((folder / FACTS).read_text())
    facts = change(facts) or facts
    for name in facts.get("files", {}) if isinstance(facts, dict) else ():
        if (folder / name).is_file():
            facts["files"][name] = sha256_of(folder / name)
    (folder / FACTS).write_text(json.dumps(facts))
    return folder / FACTS


def loaded(file: Path) -> torch.nn.Module:
    return model_from(read_checkpoint(file), file)


def test_tensors_and_plain_data_are_kept_apart(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == [FACTS, WEIGHTS]
    facts = json.loads((folder / FACTS).read_text())
    assert facts["ser_model"] == "ser.models.cnn.CNN"
    assert facts["hyper_parameters"]["task"]["classes"][0] == "angry"
    assert not (folder / FACTS).read_bytes().startswith(b"PK")
    loaded(folder / FACTS)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "mine.Net",
        "ser.runtime.files.replacing",
        "ser.models",
        "ser.models._private.X",
        "torch.nn.Linear",
        None,
    ],
)
@pytest.mark.parametrize("place", ["model", "features", "deep"])
def test_class_that_is_not_of_ser_is_refused_before_it_is_imported(
    folder: Path, target: str | None, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser.runtime.instantiate.import_module", lambda name: pytest.fail(f"{name} was imported"))

    def change(facts: dict[str, Any]) -> None:
        task = facts["hyper_parameters"]["task"]
        if place == "model":
            facts["ser_model"] = target
        elif place == "features":
            task["features"]["_target_"] = target or "builtins.exec"
        else:
            task["cleaning"] = {"one": [{"_target_": target or "subprocess.Popen"}]}

    with pytest.raises(RunError, match="must name classes of ser"):
        loaded(rewritten(folder, change))


def test_function_of_ser_is_not_called(folder: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["ser_model"] = "ser.models.checkpoint.write_model"

    with pytest.raises(ConfigError, match="is not a SpeechClassifier"):
        loaded(rewritten(folder, change))


@pytest.mark.parametrize("encoder", [{"checkpoint": "somebody/else", "pickle": True}, {}, {"sha256": "0"}])
def test_encoder_of_another_place_is_not_fetched(
    folder: Path, encoder: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr("ser.models.pretrained.fetch", lambda *_: pytest.fail("it was fetched"))
    monkeypatch.setattr("ser.models.encoders.frozen.fetch", lambda *_: pytest.fail("it was fetched"))

    def change(facts: dict[str, Any]) -> None:
        task = {**facts["hyper_parameters"]["task"], "features": {}}
        facts["ser_model"] = "ser.models.pretrained.Pretrained"
        facts["hyper_parameters"] = {"task": task, "encoder": encoder, "finetune": {}, "head": {}}

    with pytest.raises(SerError):
        loaded(rewritten(folder, change))

    def as_features(facts: dict[str, Any]) -> None:
        own = {"_target_": "ser.models.encoders.frozen.FrozenEncoder", "checkpoint": "", **encoder}
        facts["ser_model"] = "ser.models.cnn.CNN"
        facts["hyper_parameters"] = {"task": {**facts["hyper_parameters"]["task"], "features": own, "architecture": {}}}

    with pytest.raises(SerError):
        loaded(rewritten(folder, as_features))


@pytest.mark.slow
def test_net_that_would_be_much_larger_than_its_weights_is_not_made(folder: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["hyper_parameters"]["width"] = 10**6

    with pytest.raises(RunError, match=r"weights or more, and \d+ are stored"):
        loaded(rewritten(folder, change))


def test_other_shapes_names_and_settings_are_refused(folder: Path) -> None:
    changes: list[Change] = [
        lambda facts: facts["hyper_parameters"].update(width=8),
        lambda facts: facts["hyper_parameters"].update(unknown=8),
        lambda facts: facts["hyper_parameters"].update(channels=[]),
        lambda facts: facts["hyper_parameters"].update(channels="many", time_pool=None),
        lambda facts: facts["hyper_parameters"]["task"].update(classes=["one", "two"]),
        lambda facts: facts.update(hyper_parameters="text"),
        lambda facts: facts.update(state_dict=[1]),
        lambda facts: facts.update(state_dict=None),
        lambda facts: facts.update(ser_calibration={"temperature": "hot", "threshold": 0.5, "level": 0.9}),
        lambda facts: facts.update(ser_familiar={"limit": 1.0}),
        lambda facts: facts.update(ser_adapted=[1, 2]),
    ]
    before = (folder / FACTS).read_text()
    for change in changes:
        (folder / FACTS).write_text(before)
        with pytest.raises(SerError, match=r"config\.json|safetensors"):
            loaded(rewritten(folder, lambda facts, change=change: change(facts)))


def test_facts_of_another_kind_are_refused(folder: Path) -> None:
    cases = {
        b"": "must be JSON",
        b"\xff\xfe": "must be JSON",
        b"[" * 100_000: "must be JSON",
        b"[]": "must describe a model",
        b'{"model_type": "wav2vec2"}': "such as a model of another library",
        b" " * (MOST_FACTS + 1): "must have at most",
    }
    whole = json.loads((folder / FACTS).read_text())
    cases[json.dumps({**whole, "format": 2}).encode()] = "Install a newer ser"
    cases[json.dumps({**whole, "files": {}}).encode()] = "must list model.safetensors"
    cases[json.dumps({**whole, "files": {**whole["files"], "../best.ckpt": "0"}}).encode()] = "must list"
    for content, words in cases.items():
        (folder / FACTS).write_bytes(content)
        with pytest.raises(RunError, match=words):
            read_published(folder / FACTS)
    (folder / FACTS).unlink()
    with pytest.raises(RunError, match=r"There is no .*config\.json"):
        read_published(folder / FACTS)


def test_missing_or_damaged_tensors_are_refused(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    flipped = whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]
    for content in (whole[:-1], flipped, b""):
        (folder / WEIGHTS).write_bytes(content)
        with pytest.raises(RunError, match="damaged or another file"):
            read_published(folder / FACTS)
    for content in (whole[: len(whole) // 2], b"", b"\xff" * 100, pickle.dumps({"a": 1})):
        (folder / WEIGHTS).write_bytes(content)
        with pytest.raises(RunError, match="must hold tensors in safetensors"):
            read_published(rewritten(folder, lambda facts: None))
    (folder / WEIGHTS).unlink()
    with pytest.raises(RunError, match=r"There is no .*model\.safetensors"):
        read_published(folder / FACTS)


@pytest.mark.parametrize(
    "name", ["weight", "hyper_parameters/task/classes", "ser_model/x", "state_dict/a/b", "files/x"]
)
def test_tensor_in_another_place_is_refused(folder: Path, name: str) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / WEIGHTS)
    state |= (
        {"state_dict/a": torch.zeros(1), name: torch.zeros(1)} if name == "state_dict/a/b" else {name: torch.zeros(1)}
    )
    save_file(state, folder / WEIGHTS)
    with pytest.raises(RunError, match=r"must hold the tensors of config\.json"):
        read_published(rewritten(folder, lambda facts: None))


def test_pipeline_of_a_stranger_runs_no_code(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch '{marker}'",)

    def change(facts: dict[str, Any]) -> None:
        facts["ser_model"] = "ser.baselines.classical.Classical"
        facts["files"][PIPELINE] = ""
        estimator = {"_target_": "sklearn.svm.SVC"}
        facts["hyper_parameters"] = {"task": facts["hyper_parameters"]["task"], "name": "svm", "estimator": estimator}
        facts["state_dict"] = {"_extra_state": {"present": None, "temperature": 1.0}}

    (folder / PIPELINE).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(RunError, match="must be an archive of skops"):
        loaded(rewritten(folder, change))
    schema = {"__class__": "system", "__module__": "os", "__loader__": "TypeNode", "content": {}}
    with zipfile.ZipFile(folder / PIPELINE, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
    with pytest.raises(RunError):
        loaded(rewritten(folder, lambda facts: None))
    with zipfile.ZipFile(folder / PIPELINE, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(10**7))
    with pytest.raises(RunError, match="must not be compressed"):
        loaded(rewritten(folder, lambda facts: None))
    assert not marker.exists()
    (folder / PIPELINE).unlink()
    with pytest.raises(RunError, match=r"There is no .*model\.skops"):
        loaded(rewritten(folder, lambda facts: None))


class Mine(torch.nn.Module):
    """A class of somebody's own."""


def test_class_of_ones_own_is_not_published(make_model: MakeModel, tmp_path: Path) -> None:
    checkpoint = checkpoint_from(make_model("cnn"))
    with pytest.raises(ConfigError, match=r"must be of classes of ser alone.*mine\.Net.*docs/extending\.md"):
        write_published({**checkpoint, "ser_model": "mine.Net"}, tmp_path, {})
    checkpoint["hyper_parameters"]["task"]["features"] = {"_target_": "mine.Features"}
    with pytest.raises(ConfigError, match=r"mine\.Features"):
        write_published(checkpoint, tmp_path, {})
    for value, words in {float("inf"): "plain data", Mine(): "plain data"}.items():
        checkpoint["hyper_parameters"]["task"]["features"] = {"low_hz": value}
        with pytest.raises(ConfigError, match=words):
            write_published(checkpoint, tmp_path, {})
    assert list(tmp_path.iterdir()) == []
