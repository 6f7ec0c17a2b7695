"""The card of a published model: what the run's files say, and nothing that they do not say."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from ser.evaluation.groups import speaker_spread
from ser.models.classifier import SpeechClassifier
from ser.protocols.limits import NOT_FOR
from ser.report.format import MINUS, percent
from ser.runs.folder import BEST, SIBLING, RunFolder
from ser.runs.publishing.card import written_card
from tests.models.conftest import MakeModel
from tests.runs.conftest import finished, finished_one
from tests.runs.publishing.conftest import with_findings

__all__ = ["finished", "finished_one"]


@pytest.fixture
def model(make_model: MakeModel) -> SpeechClassifier:
    return with_findings(make_model("light_cnn"))


def parts(card: str) -> tuple[dict[str, object], str]:
    """Return the metadata and the text of a card."""
    before, front, text = card.split("---\n", 2)
    assert before == ""
    return yaml.safe_load(front), text


def test_card_of_a_fold_has_its_numbers_and_those_of_all_folds(finished: Path, model: SpeechClassifier) -> None:
    whole, fold = RunFolder(finished), RunFolder(finished / "fold_1")
    front, text = parts(written_card(model, finished / "fold_1" / BEST, "hub:me/voices", None))
    assert front["license"] == "cc0-1.0"
    assert front["language"] == ["en"]
    assert front["datasets"] == ["demo"]
    assert front["library_name"] == "ser"
    assert "synthetic-speech" in front["tags"]  # type: ignore[operator]
    for run, what in ((fold, "| this model |"), (whole, "| models of all 3 folds |")):
        interval = run.metrics["uar_interval"]
        score = f"{percent(run.metrics['uar'])} [{percent(interval['low'], '')}, {percent(interval['high'], '')}]"
        (line,) = [line for line in text.splitlines() if line.startswith(what)]
        assert f"| {score} |" in line
        assert line.endswith(f"| {run.metrics['n_utterances']} | {run.metrics['n_speakers']} |")
    worst = speaker_spread(fold.predictions)["worst"]
    assert f"range from {percent(worst['uar'])} ({worst['speaker']})" in text
    assert "SYNTHETIC SPEECH" in text
    assert 'ser.load("hub:me/voices")' in text
    assert NOT_FOR in text
    assert "Licence: CC0 1.0" in text
    assert fold.about["splits"]["1"] in text
    assert fold.about["fingerprint"] in text
    assert "## In noise" not in text
    assert "divided by 0.333" in text
    assert "Not the result of the whole protocol" in text


def test_every_table_has_as_many_cells_in_each_row(finished: Path, model: SpeechClassifier) -> None:
    _, text = parts(written_card(model, finished / "fold_0" / BEST, "model", None))
    blocks = [block.splitlines() for block in text.split("\n\n") if block.lstrip().startswith("|")]
    assert len(blocks) == 2
    for lines in blocks:
        assert len({line.count("|") for line in lines if line}) == 1, lines


def test_robustness_is_in_the_card_if_the_run_has_it(one: Path, model: SpeechClassifier) -> None:
    interval = {"low": 0.1, "high": 0.3, "level": 0.95, "speakers": 6, "caution": None}
    clean = {"uar": 0.5, "uar_interval": interval}
    change = {"change": -0.3, "change_interval": {**interval, "low": -0.4, "high": -0.2}}
    suite = {
        "clean": clean,
        "conditions": [{"condition": "white 5 dB", "uar": 0.2, "uar_interval": interval, **change}],
    }
    (one / "robustness.json").write_text(json.dumps(suite))
    _, text = parts(written_card(model, one / "fold_0" / BEST, "model", None))
    assert "| white 5 dB | 20.0 % [10.0, 30.0] | -30.0 points [-40.0, -20.0] |" in text.replace(MINUS, "-")
    assert "| models of all" not in text


def test_checkpoint_without_a_run_claims_nothing(model: SpeechClassifier, tmp_path: Path) -> None:
    front, text = parts(written_card(model, tmp_path / "some" / "copied.ckpt", "model", None))
    assert front["license"] == "other"
    assert "datasets" not in front
    assert "the run of this model is not at hand" in text
    assert "The corpora of the training are not known" in text
    assert "%" not in text.partition("## Numbers")[2].partition("Calibration")[0]


def test_checkpoint_without_a_run_names_the_corpora_that_it_knows(model: SpeechClassifier, tmp_path: Path) -> None:
    corpus = {"name": "emodb", "title": "EmoDB", "language": "German", "material": "acted", "licence": "CC BY 4.0"}
    model.trained_on = (corpus,)
    front, text = parts(written_card(model, tmp_path / "some" / "copied.ckpt", "model", None))
    assert (front["license"], front["language"], front["datasets"]) == ("cc-by-4.0", ["de"], ["emodb"])
    assert "# CNN on EmoDB" in text
    assert "- **EmoDB** (German, acted). Licence: CC BY 4.0." in text


def test_model_that_was_not_tested_has_the_numbers_of_its_sibling(one: Path, model: SpeechClassifier) -> None:
    for name in ("metrics.json", "fold_0/metrics.json", "card.json", "predictions.parquet"):
        (one / name).unlink()
    _, text = parts(written_card(model, one / "fold_0" / BEST, "model", None))
    assert "the run of this model was not tested" in text
    interval = {"low": 0.4, "high": 0.6, "level": 0.95, "speakers": 6, "caution": None}
    (one / SIBLING).write_text(json.dumps({"run": "beside", "uar": 0.5, "uar_interval": interval}))
    _, text = parts(written_card(model, one / "fold_0" / BEST, "model", None))
    assert "| not tested; runs of the same settings on unknown speakers | 50.0 % [40.0, 60.0] |" in text
    assert "nobody is left to test it" in text


def test_licence_is_one_only_if_all_recordings_have_it(one: Path, model: SpeechClassifier) -> None:
    config = (one / "config.yaml").read_text()
    front, _ = parts(written_card(model, one / "fold_0" / BEST, "model", "mit"))
    assert front["license"] == "mit"
    more = "    ravdess:\n      _target_: ser.corpora.ravdess.Ravdess\n      root: /corpora/ravdess\n"
    (one / "config.yaml").write_text(config.replace("labels:\n", f"{more}labels:\n", 1))
    front, text = parts(written_card(model, one / "fold_0" / BEST, "model", None))
    assert front["license"] == "other"
    assert front["license_name"] == "those-of-the-recordings"
    assert front["datasets"] == ["demo", "ravdess"]
    assert "Licence: CC BY-NC-SA 4.0" in text
    shutil.rmtree(one)
