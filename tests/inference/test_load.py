"""A model is loaded from its checkpoint alone; other files run no code and are refused with a plain error."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import ser
from ser.errors import ConfigError, RunError, SerError
from ser.inference.load import load_model
from ser.runs.folder import BEST
from tests.conftest import Settings
from tests.inference.conftest import fitted
from tests.models.conftest import NAMES

WAVES = 0.1 * torch.randn(3, 12000, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([12000, 9001, 300])


def logits(model: torch.nn.Module) -> Tensor:
    waves = WAVES * (torch.arange(WAVES.shape[1]) < LENGTHS[:, None])
    with torch.no_grad():
        out = model(waves, LENGTHS)
    assert isinstance(out, Tensor)
    return out


@pytest.mark.parametrize("name", NAMES)
def test_loaded_model_gives_the_same_logits_bit_for_bit(
    settings: Settings, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = fitted(settings(f"model={name}", "trainer.max_epochs=1"), tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")  # nothing of the configuration, the store or the corpus is looked for
    for path in (tmp_path / "run", tmp_path / "run" / BEST, str(tmp_path / "run")):
        again = ser.load(path).model
        assert not again.training
        assert type(again) is type(model)
        assert (again.classes, again.stamps, again.audio) == (model.classes, model.stamps, model.audio)
        torch.testing.assert_close(logits(again), logits(model), atol=0, rtol=0)
    if model.normalise.by == "training":
        assert not torch.equal(again.normalise.mean, torch.zeros_like(again.normalise.mean))


def test_file_of_another_kind_is_refused(tmp_path: Path, run: Path) -> None:
    whole = (run / BEST).read_bytes()
    contents = {
        "truncated": whole[: len(whole) // 2],
        "nearly whole": whole[:-1000],
        "flipped": whole[:100] + bytes(200) + whole[300:],
        "empty": b"",
        "text": b"hello\n",
        "more text": b"sound, I am\n",
        "zeros": bytes(1000),
        "zip": b"PK\x03\x04 and then nothing",
        "utf-8": "X é\n".encode() + b"\xc2\xff",
        "old pickle": pickle.dumps({"a": 1}),
    }
    for i, (what, content) in enumerate(contents.items()):
        (tmp_path / f"{i}.ckpt").write_bytes(content)
        with pytest.raises(RunError, match=rf"{i}\.ckpt") as caught:
            load_model(tmp_path / f"{i}.ckpt")
        assert "weights_only" not in str(caught.value), what


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_checkpoint_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch '{marker}'",)

    saved = io.BytesIO()
    torch.save({"ser_model": "ser.models.cnn.CNN", "hyper_parameters": Evil(), "state_dict": {}}, saved)
    for content in (pickle.dumps(Evil()), pickle.dumps(Evil(), protocol=2), saved.getvalue()):
        (tmp_path / "evil.ckpt").write_bytes(content)
        with pytest.raises(RunError, match=r"evil\.ckpt must be a checkpoint of tensors"):
            load_model(tmp_path / "evil.ckpt")
        assert not marker.exists()
    pickle.loads(pickle.dumps(Evil()))
    assert marker.exists(), "the test's own code does what it should not do above"


def changed(run: Path, **parts: Any) -> Path:
    checkpoint = torch.load(run / BEST, weights_only=True)
    checkpoint |= parts
    torch.save({k: v for k, v in checkpoint.items() if v is not None}, run / "changed.ckpt")
    return run / "changed.ckpt"


@pytest.mark.parametrize(
    "target",
    ["os.system", "subprocess.Popen", "builtins.exec", "torch.nn.Linear", "lightning.LightningModule", 3, ".", ".a.B"],
)
def test_checkpoint_with_a_class_that_is_no_model_is_refused(run: Path, target: Any) -> None:
    with pytest.raises(ConfigError, match="_target_"):
        load_model(changed(run, ser_model=target))


@pytest.mark.parametrize("part", ["features", "normalise"])
@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "pathlib.Path"])
def test_checkpoint_with_a_part_that_is_no_module_is_refused(run: Path, tmp_path: Path, part: str, target: str) -> None:
    marker = tmp_path / "ran"
    evil = {"_target_": target, "args": ["touch", str(marker)]}
    if target == "os.system":
        evil = {"_target_": target, "command": f"touch '{marker}'"}
    hyper = torch.load(run / BEST, weights_only=True)["hyper_parameters"]
    with pytest.raises(ConfigError, match=r"is not a (Module|Normalise)"):
        load_model(changed(run, hyper_parameters={**hyper, "task": {**hyper["task"], part: evil}}))
    assert not marker.exists()


def test_checkpoint_of_another_program_is_refused(run: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(3)}, "epoch": 3}, tmp_path / "other.ckpt")
    torch.save([torch.zeros(3)], tmp_path / "list.ckpt")
    for file in (tmp_path / "other.ckpt", tmp_path / "list.ckpt", changed(run, hyper_parameters=None)):
        with pytest.raises(RunError, match="must be a checkpoint of ser"):
            load_model(file)
    hyper = torch.load(run / BEST, weights_only=True)["hyper_parameters"]
    for parts in (
        {"hyper_parameters": {**hyper, "unknown": 1}},
        {"hyper_parameters": {**hyper, "task": {**hyper["task"], "classes": ["one", "two"]}}},
        {"state_dict": {"weight": torch.zeros(3)}},
    ):
        with pytest.raises(RunError, match="does not fit"):
            load_model(changed(run, **parts))


def test_folder_without_one_model_lists_its_models(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", "no/such/run"):
        with pytest.raises(RunError, match=r"has no checkpoint \(checkpoints/best\.ckpt\)"):
            ser.load(path)
    for fold in (0, 1):
        file = tmp_path / f"fold_{fold}" / BEST
        file.parent.mkdir(parents=True)
        file.touch()
    with pytest.raises(RunError, match=r"holds 2 folds, .*fold_0, .*fold_1"):
        ser.load(tmp_path)


def test_every_refusal_is_a_plain_error() -> None:
    assert issubclass(RunError, SerError)
    assert issubclass(ConfigError, SerError)


def test_checkpoint_holds_only_what_prediction_needs(run: Path) -> None:
    checkpoint = torch.load(run / BEST, weights_only=True)
    assert set(checkpoint) == {"ser_model", "hyper_parameters", "state_dict"}
    task = checkpoint["hyper_parameters"]["task"]
    assert set(task) == {"classes", "audio", "features", "normalise", "stamps", "trained_on"}
    about = {"title": "synthetic demo speech", "licence": "CC0 1.0", "language": "English", "material": "synthetic"}
    assert task["trained_on"] == [{"name": "demo", **about}]
    assert not any(name.startswith("model.") for name in checkpoint["state_dict"])
    assert str(run.parent) not in (run / BEST).read_bytes().decode("latin-1"), "no path of this machine"


def test_absent_device_is_named(run: Path) -> None:
    assert load_model(run / BEST, device="auto").device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match=r"device must be auto, cpu, cuda or cuda:<index>; got 'gpu'"):
        load_model(run / BEST, device="gpu")
    with pytest.raises(ConfigError, match=r"device must be present on this machine.*got 'cuda:99'"):
        load_model(run / BEST, device="cuda:99")
