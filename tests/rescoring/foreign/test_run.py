"""A model of transformers is scored as transformers itself scores it, clip by clip, as a run that says what it has seen."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import ser
from ser.audio.decode import AudioSettings, read_audio, standardise
from ser.comparison.leaderboard import rank_systems
from ser.comparison.systems import find
from ser.corpora.demo import Demo
from ser.errors import ConfigError
from ser.evaluation import predictions
from ser.rescoring.foreign.classifier import ForeignClassifier
from ser.rescoring.foreign.run import evaluate_foreign
from ser.runs.folder import RunFolder
from ser.runs.verification import verify
from tests.conftest import Settings
from tests.rescoring.foreign.conftest import Save

LABELS = ("ANGER", "sadness", "happy", "calm", "LABEL_4")
"""Of the demo's six emotions, disgust, fear and neutral are not among them."""
MAP = {"LABEL_4": "neutral"}
Evaluate = Callable[..., RunFolder]


@pytest.fixture(scope="module")
def evaluate(small_settings: Settings, tiny_demo: Path, stores: Path) -> Evaluate:
    """``evaluate(checkpoint, out, labels_map=...)``: the run of a model of others on the tiny corpus."""

    def run(checkpoint: Path | str, out: Path, *overrides: str, **settings: Any) -> RunFolder:
        from tests.composed import composed

        config = composed(
            f"+data.corpora.demo.root={tiny_demo}",
            "protocol.folds=3",
            f"paths.stores={stores}",
            f"paths.run={out}",
            "device=cpu",
            *overrides,
            config="evaluate",
        )
        path = str(checkpoint)
        config["model"] = {"path": path if path.startswith("hf:") or path == "" else f"hf:{path}"}
        return RunFolder(evaluate_foreign({**config, **settings}))

    return run


@pytest.fixture(scope="module")
def foreign(evaluate: Evaluate, classifier: Save, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished one, to read only."""
    return evaluate(classifier(LABELS), tmp_path_factory.mktemp("foreign") / "run", labels_map=MAP)


def test_answers_are_those_of_transformers(foreign: RunFolder, classifier: Save, tiny_demo: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = classifier(LABELS)
    net = transformers.AutoModelForAudioClassification.from_pretrained(folder).eval()
    prepare = transformers.AutoFeatureExtractor.from_pretrained(folder)
    table = foreign.predictions.set_index("utterance")
    assert len(table) == 36
    for utterance in list(Demo(tiny_demo).utterances())[::7]:
        stored = standardise(*read_audio(utterance.path), AudioSettings(trim_db=30.0))  # 16-bit integers
        samples = stored.astype(np.float32) / 32768
        with torch.no_grad():
            logits = net(**prepare(samples, sampling_rate=16000, return_tensors="pt")).logits[0].double().numpy()
        p = np.exp(logits) / np.exp(logits).sum()
        kept = dict(zip(("angry", "sad", "happy", "neutral"), p[[0, 1, 2, 4]] / p[[0, 1, 2, 4]].sum(), strict=True))
        row = table.loc[utterance.id]
        for name in ("angry", "disgust", "fear", "happy", "neutral", "sad"):
            assert row[f"p_{name}"] == pytest.approx(kept.get(name, 0.0), abs=1e-5)


def test_run_says_what_it_is(foreign: RunFolder) -> None:
    stamps = [
        "synthetic speech",
        "not trained here",
        "perhaps seen in training: demo",
        "never answers: disgust, fear",
        "labels left out: calm",
    ]
    assert foreign.about["stamps"] == stamps
    facts = foreign.about["foreign"]
    assert facts["checkpoint"] == "somebody-emotions"
    assert facts["labels"]["LABEL_4"] == "neutral"
    assert facts["seen"]["demo"]["answer"] == "unknown"
    page = (foreign.path / "card.html").read_text()
    for words in (*stamps, "somebody-emotions", "LABEL_4: neutral", "demo: unknown"):
        assert words in page
    assert "rescore=true" not in page
    assert len(foreign.folds) == 3
    assert foreign.metrics["uar"] == pytest.approx(recalls(foreign.predictions).mean(), abs=1e-12)
    assert foreign.metrics["per_class"]["fear"]["recall"] == 0
    assert str(foreign.path.parent) not in (foreign.path / "config.yaml").read_text()


def recalls(table: pd.DataFrame) -> np.ndarray:
    """The recall of each class, ``(class,)``."""
    target, answer = predictions.target_indices(table), predictions.predicted_indices(table)
    return np.array([(answer[target == at] == at).mean() for at in range(len(predictions.classes(table)))])


def test_run_is_verified_and_evaluated(foreign: RunFolder, stores: Path) -> None:
    checks = verify(foreign.path, stores=str(stores))
    assert [check for check in checks if check.ok is False] == []
    of_model = [f"fold_{fold} {name}" for fold in range(3) for name in ("selection", "checkpoint")]
    assert [check.name for check in checks if check.ok is None] == of_model
    assert ser.evaluate(foreign.path, f"paths.stores={stores}").metrics == foreign.metrics


@pytest.mark.slow
def test_one_that_may_have_seen_the_corpus_is_ranked_apart(
    foreign: RunFolder, evaluate: Evaluate, classifier: Save, tmp_path: Path
) -> None:
    folders = [foreign.path]
    for answer, last in (("yes", "fear"), ("no", "disgust")):
        run = evaluate(classifier([*LABELS[:4], last]), tmp_path / answer, seen={"demo": answer})
        assert run.about["foreign"]["seen"]["demo"] == {"answer": answer, "source": "stated with the command"}
        folders.append(run.path)
    comparison, _ = rank_systems(*find(folders))
    (section,) = comparison.sections
    assert [row.runs for row in section.group.rows] == [(str(tmp_path / "no"),)]
    assert {group.rows[0].runs[0]: group.apart for group in comparison.apart} == {
        str(tmp_path / "yes"): "trained on recordings of the corpus that tests it",
        str(foreign.path): "perhaps trained on recordings of the corpus that tests it",
    }


def test_weights_that_are_missing_are_refused(classifier: Save, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(classifier(LABELS), tmp_path / "half"))
    state = load_file(folder / "model.safetensors")
    bias = state.pop("classifier.bias")
    save_file({**state, "classifier.dense.bias": bias}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match=r"must have every weight of its classifier; classifier\.bias would be drawn"):
        ForeignClassifier(str(folder))


def test_checkpoint_that_cannot_be_used_is_a_sentence(classifier: Save, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="must be a folder of transformers"):
        ForeignClassifier(str(tmp_path / "empty"))
    damaged = Path(shutil.copytree(classifier(LABELS), tmp_path / "damaged"))
    (damaged / "model.safetensors").write_bytes(b"nothing")
    text = Path(shutil.copytree(classifier(LABELS), tmp_path / "text"))
    (text / "config.json").write_text(json.dumps({"model_type": "bert"}))
    code = Path(shutil.copytree(classifier(LABELS), tmp_path / "code"))
    (code / "config.json").write_text(json.dumps({"auto_map": {"AutoConfig": "evil.Config"}, "model_type": "evil"}))
    (code / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    for folder in (damaged, text, code):
        with pytest.raises(ConfigError, match="must be an audio classifier of transformers"):
            ForeignClassifier(str(folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("overrides", "settings", "words"),
    [
        ([], {}, r"must have names of emotions; got LABEL_4"),
        (
            ["audio.sample_rate=8000"],
            {"labels_map": MAP},
            "audio.sample_rate must be 16000 for somebody-emotions; got 8000",
        ),
        ([], {"labels_map": MAP, "seen": {"ravdess": "no"}}, "seen must be of the corpora demo"),
        ([], {"labels_map": MAP, "device": "gpu"}, "device must be"),
    ],
)
def test_settings_that_cannot_be_used_leave_no_folder(
    evaluate: Evaluate, classifier: Save, tmp_path: Path, overrides: list[str], settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        evaluate(classifier(LABELS), tmp_path / "run", *overrides, **settings)
    assert not (tmp_path / "run").exists()


def test_model_is_named_with_hf(evaluate: Evaluate, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model must be hf:<folder> or hf:<owner>/<name>"):
        evaluate("hf:", tmp_path / "run")
    with pytest.raises(ConfigError, match="Leave out one of them"):
        ser.evaluate("runs/x", model="hf:somebody/model")
