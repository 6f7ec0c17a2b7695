"""``python -m ser.export``: what it states of a training, and its errors."""

import sys
from pathlib import Path

import pytest

import ser
from ser.export import main, stated_facts
from ser.runs.folder import BEST, write_config
from tests.runs.conftest import config_for


def test_corpora_of_a_run_are_named_with_their_licences(tiny_demo: Path, tmp_path: Path) -> None:
    write_config(tmp_path / "run", config_for(tiny_demo, tmp_path))
    facts = stated_facts(tmp_path / "run" / "fold_1" / BEST)
    assert facts["corpora"]["demo"]["licence"] == "CC0 1.0"
    assert facts["languages"] == ["English"]
    assert "licences of all of these" in facts["licence"]
    assert facts["ser_version"] == ser.__version__


def test_checkpoint_alone_states_no_corpora(tmp_path: Path) -> None:
    facts = stated_facts(tmp_path / "copied.ckpt")
    assert (facts["corpora"], facts["languages"]) == ({}, [])
    assert "not known" in facts["licence"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model=missing"], "has no checkpoint"),
        (["model={file}", "format=tflite"], "format must be onnx, torchexport or page; got 'tflite'"),
        (["model={file}", "out=model.zip"], "out must end in .onnx with format=onnx"),
        (["model={file}"], "must be a checkpoint"),
    ],
)
def test_errors_are_sentences(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "best.ckpt").write_bytes(b"nothing")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["export", *(text.format(file=tmp_path / "best.ckpt") for text in arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["best.ckpt"]
