"""A run scored under a suite: its files, its checks against the run, and resuming."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra.core.global_hydra import GlobalHydra
from scipy.special import expit, logit
from scipy.stats import t

import ser
from ser.datamodules.data import SpeechData
from ser.errors import ConfigError, RunError
from ser.evaluate import main
from ser.evaluation import predictions
from ser.inference.score import score
from ser.rescoring.robustness import report
from ser.rescoring.robustness import run as suites
from ser.rescoring.robustness.conditions import Talkers, conditions_of
from ser.rescoring.robustness.results import measure_robustness
from ser.rescoring.robustness.run import Robustness, probabilities_under
from ser.runs.folder import RunFolder
from tests.rescoring.robustness.conftest import shipped

GAIN = {"_target_": "ser.rescoring.robustness.channel.Gain", "levels": [0, -40]}
WHITE = {"_target_": "ser.rescoring.robustness.noise.White", "levels": [0]}
SMALL: dict[str, Any] = {"name": "small", "seed": 0, "effects": {"gain": GAIN, "white": WHITE}}


def results_of(folder: Path, name: str = "small") -> tuple[pd.DataFrame, dict[str, Any]]:
    return pd.read_parquet(folder / f"{name}.parquet"), json.loads((folder / f"{name}.json").read_text())


def test_suite_writes_predictions_numbers_and_picture(run: Path, stores: Path) -> None:
    Robustness(**SMALL).run(run, "corpora", str(stores))
    table, measured = results_of(run)
    stored = predictions.read_predictions(run / "predictions.parquet")
    assert list(table.columns) == [*stored.columns, "condition", "family", "level"]
    assert table["condition"].value_counts().to_dict() == dict.fromkeys(
        ["clean", "gain 0 dB", "gain -40 dB", "white 0 dB"], len(stored)
    )
    clean = table[table["condition"] == "clean"].sort_values(["fold", "utterance"])
    expected = stored.sort_values(["fold", "utterance"])
    np.testing.assert_allclose(predictions.probabilities(clean), predictions.probabilities(expected), atol=1e-5)
    metrics = json.loads((run / "metrics.json").read_text())
    assert measured["clean"]["uar"] == pytest.approx(metrics["uar"])
    assert measured["clean"]["uar_interval"] == pytest.approx(metrics["uar_interval"])
    assert measured["run"]["stamps"] == ["synthetic speech"]
    assert measured["suite"] == SMALL
    assert (run / "small.png").stat().st_size > 10_000
    same, quiet, _ = measured["conditions"]
    assert same["change"] == 0.0
    assert -same["change_interval"]["low"] == same["change_interval"]["high"] == pytest.approx(1 - 0.05 ** (1 / 6))
    assert (quiet["effect"], quiet["family"], quiet["level"], quiet["unit"]) == ("gain", "gain", -40.0, "dB")
    apart = predictions.probabilities(table[table["condition"] == "gain -40 dB"]) - predictions.probabilities(clean)
    assert abs(apart).max() > 1e-3, "the gain changed no prediction"


@pytest.mark.slow
def test_interrupted_suite_resumes_with_the_same_result(
    run: Path, stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "curves", lambda *_, **__: None)  # takes a second, and is tested elsewhere
    Robustness(**SMALL).run(run, "corpora", str(stores))
    whole, _ = results_of(run)
    scored: list[str] = []

    def watched(*arguments: Any) -> np.ndarray:
        scored.append(f"{arguments[1].fold} {arguments[3].name}")
        return probabilities_under(*arguments)

    monkeypatch.setattr(suites, "probabilities_under", watched)
    (lost,) = (run / "fold_1" / "small").glob("white_0-*.parquet")
    lost.unlink()
    Robustness(**SMALL).run(run, "corpora", str(stores))
    assert scored == ["1 white 0 dB"]
    pd.testing.assert_frame_equal(results_of(run)[0], whole)

    scored.clear()
    more = {**SMALL, "effects": {"gain": {**GAIN, "levels": [0, -40, 5]}, "white": WHITE}}
    Robustness(**more).run(run, "corpora", str(stores))
    assert scored == ["0 gain 5 dB", "1 gain 5 dB", "2 gain 5 dB"]

    scored.clear()
    Robustness(**{**SMALL, "seed": 1, "effects": {"white": WHITE}}).run(run, "corpora", str(stores))
    assert scored == ["0 white 0 dB", "1 white 0 dB", "2 white 0 dB"]


def test_tables_of_another_checkpoint_are_not_reused(run: Path, data: SpeechData) -> None:
    folder, suite = run / "fold_0", Robustness("small", 0, {"gain": GAIN})
    checkpoint = folder / "checkpoints" / "best.ckpt"
    tables = []
    for other in ("fold_0", "fold_1"):
        checkpoint.write_bytes((run / other / "checkpoints" / "best.ckpt").read_bytes())
        clean = score(ser.load(folder).model, data, data.split.test)
        table = suite.score_fold(ser.load(folder).model, data, clean, RunFolder(folder))
        same = table[table["condition"] == "gain 0 dB"]
        np.testing.assert_allclose(predictions.probabilities(same), predictions.probabilities(clean), atol=1e-6)
        tables.append(predictions.probabilities(clean))
    assert abs(tables[0] - tables[1]).max() > 1e-3
    assert len(list((folder / "small").iterdir())) == 4


def test_predictions_that_differ_from_the_checkpoint_are_refused(run: Path, stores: Path) -> None:
    file = run / "fold_0" / "predictions.parquet"
    table = predictions.read_predictions(file)
    table.loc[3, ["p_angry", "p_sad"]] = [float(p) for p in table.loc[3, ["p_sad", "p_angry"]]]
    predictions.write_predictions(table, file)
    with pytest.raises(RunError, match=table["utterance"][3]):
        Robustness(**SMALL).run(run, "corpora", str(stores))
    assert not (run / "small.json").exists()


def test_batch_size_does_not_change_the_result(trained: Path, data: SpeechData) -> None:
    model, talkers = ser.load(trained / "fold_0").model, Talkers(data)
    effects = {name: {**effect, "levels": effect["levels"][-1:]} for name, effect in shipped()["effects"].items()}
    for condition in conditions_of(effects):
        one, all_together = (
            probabilities_under(model, data, data.split.test[:3], condition, 0, talkers, size) for size in (1, None)
        )
        np.testing.assert_allclose(one, all_together, atol=1e-5, err_msg=condition.name)


def table_of(right: dict[str, dict[str, list[int]]]) -> pd.DataFrame:
    """Return a table of clips that are right (1) or wrong (0) by condition and speaker, of two classes in turn."""
    rows = []
    for condition, speakers in right.items():
        for speaker, hits in speakers.items():
            for i, hit in enumerate(hits):
                p = 0.9 if bool(hit) == (i % 2 == 0) else 0.1
                about = {"utterance": f"{speaker}/{i}", "speaker": speaker, "target": ("angry", "sad")[i % 2]}
                rows.append({**about, "p_angry": p, "p_sad": 1 - p, "condition": condition})
    return pd.DataFrame(rows)


def test_change_is_paired_by_speaker() -> None:
    """Speakers say equally much: the change is the mean of theirs, and has Student's interval, on the logit scale."""
    random = np.random.default_rng(0)
    speakers = [f"s{i:02}" for i in range(24)]
    hits = {c: {s: random.integers(2, size=8).tolist() for s in speakers} for c in ("clean", "gain 0 dB")}
    (condition,) = conditions_of({"gain": {**GAIN, "levels": [0]}})
    table = table_of(hits)
    measured = measure_robustness(table, [condition])["conditions"][0]
    changes = np.mean([hits["gain 0 dB"][s] for s in speakers], axis=1) - np.mean(
        [hits["clean"][s] for s in speakers], axis=1
    )
    share, error = (changes.mean() + 1) / 2, changes.std(ddof=1) / np.sqrt(24) / 2
    half = t.ppf(0.975, 23) * error / (share * (1 - share))
    interval = measured["change_interval"]
    assert (interval["low"], interval["high"]) == pytest.approx(2 * expit(logit(share) + np.array([-half, half])) - 1)
    assert measured["change"] == pytest.approx(
        np.mean([hits["gain 0 dB"][s] for s in speakers]) - np.mean([hits["clean"][s] for s in speakers])
    )


def test_single_speaker_has_no_interval() -> None:
    (condition,) = conditions_of({"gain": {**GAIN, "levels": [0]}})
    measured = measure_robustness(table_of({c: {"a": [1, 0, 1, 1]} for c in ("clean", "gain 0 dB")}), [condition])
    assert measured["conditions"][0]["change_interval"]["low"] is None
    assert measured["clean"]["uar_interval"]["low"] is None


@pytest.mark.parametrize(("key", "value", "words"), [("name", "a b", "suite.name"), ("seed", 0.5, "suite.seed")])
def test_invalid_settings_are_refused(key: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Robustness(**{**SMALL, key: value})


def test_command_scores_the_given_suite(
    run: Path, stores: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    GlobalHydra.instance().clear()
    line = ["evaluate", f"run={run}", f"paths.stores={stores}", "suite=robustness", "~suite.effects"]
    line.append("+suite.effects.truncation={_target_: ser.rescoring.robustness.timing.Truncation, levels: [1, 0.5]}")
    monkeypatch.setattr("sys.argv", line)
    main()
    table, measured = results_of(run, "robustness")
    assert [row["condition"] for row in measured["conditions"]] == ["truncation 1 s", "truncation 0.5 s"]
    assert len(table) == 3 * 36
    assert "truncation 0.5 s" in capsys.readouterr().out
