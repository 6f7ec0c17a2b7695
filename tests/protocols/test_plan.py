"""One plan from a configuration: corpora, labels, folds, fingerprint and stamps."""

from pathlib import Path
from typing import Any

import pytest

from ser.errors import BadCorpusError, ConfigError, CorpusNotFoundError
from ser.protocols import stamps
from ser.protocols.plan import data_fingerprint, plan_folds, planned, prepared
from ser.protocols.speaker_cv import SpeakerCV
from ser.protocols.split_file import SplitFile
from tests.conftest import Settings


def test_plan_matches_the_configuration(settings: Settings) -> None:
    config = settings("labels=four")
    plan = planned(config)
    assert plan.corpora == ("demo",)
    assert plan.protocol == "speaker_cv (changed)"  # three folds in place of five
    assert len(plan.splits) == 3
    assert plan.labelled.classes == ("angry", "happy", "neutral", "sad")
    assert plan.settings.sample_rate == config["audio"]["sample_rate"]
    assert plan.fingerprint == plan.stores[0].fingerprint == data_fingerprint(prepared(config).values())
    assert plan.stamps(0) == (stamps.SYNTHETIC,)
    assert plan.describe_labels() == "four; target: intended; dropped: disgust, fear"
    assert plan.left_out == []


@pytest.mark.slow
def test_training_all_folds_plans_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from ser.training import experiment

    dealt, splits = [], SpeakerCV.splits
    monkeypatch.setattr(SpeakerCV, "splits", lambda self, table: dealt.append(len(table)) or splits(self, table))
    folder = experiment.train(settings("fold=all", "trainer.max_epochs=1"))
    assert (folder / "fold_2" / "predictions.parquet").exists()
    assert dealt == [36]


def test_corpus_under_two_names_is_an_error(settings: Settings) -> None:
    config = settings()
    config["data"]["corpora"]["other"] = config["data"]["corpora"]["demo"]
    with pytest.raises(ConfigError, match=r"data\.corpora must name each corpus once; got demo/.* in two of them"):
        planned(config)


def test_missing_corpus_choice_is_an_error(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="data must name at least one corpus; got none"):
        planned({**settings(), "data": {"corpora": {}}})


def test_strict_makes_an_unusable_file_an_error(settings: Settings, tiny_demo: Path, tmp_path: Path) -> None:
    root = tmp_path / "demo"
    root.mkdir()
    for file in tiny_demo.iterdir():
        (root / file.name).symlink_to(file.resolve())
    broken = sorted(root.iterdir())[0]
    broken.unlink()
    broken.write_bytes(b"")
    config = settings(f"data.corpora.demo.root={root}")
    assert [problem["kind"] for problem in planned(config).left_out] == ["empty"]
    with pytest.raises(BadCorpusError, match=f"empty: .*{broken.name}"):
        planned({**config, "strict": True})


@pytest.mark.parametrize(("wrong", "right"), [("trimdb", "trim_db"), ("rate", "sample_rate"), ("min", "min_ms")])
def test_unknown_audio_setting_suggests_the_nearest(settings: Settings, wrong: str, right: str) -> None:
    config = settings()
    with pytest.raises(ConfigError, match=rf"got {wrong}\. Did you mean audio\.{right}\?"):
        planned({**config, "audio": {**config["audio"], wrong: 3}})


def test_every_stamp_has_a_meaning() -> None:
    words = {value for name, value in vars(stamps).items() if name.isupper() and isinstance(value, str)}
    assert words == set(stamps.MEANINGS)
    assert all(stamps.meaning(f"{word} (more)") == stamps.MEANINGS[word] for word in words)


def test_plan_works_without_a_configuration(settings: Settings, tmp_path: Path) -> None:
    from ser.corpora.labels import LabelScheme
    from ser.protocols.split_file import write_splits

    plan = planned(settings())
    write_splits(plan.splits, plan.labelled.manifest, tmp_path / "splits.json", plan.protocol)
    again: Any = plan_folds({"demo": plan.stores[0]}, LabelScheme("native"), SplitFile(tmp_path / "splits.json"))
    assert [s.hash(again.labelled.manifest) for s in again.splits] == [
        s.hash(plan.labelled.manifest) for s in plan.splits
    ]


def test_absent_corpus_is_left_out_on_request_only(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings()
    config["data"]["corpora"]["savee"] = {"_target_": "ser.corpora.savee.Savee", "root": str(tmp_path / "savee")}
    with pytest.raises(CorpusNotFoundError, match=r"savee: the folder does not exist"):
        planned(config)
    config["paths"]["missing"] = "leave_out"
    assert planned(config).corpora == ("demo",)
    assert f"is not at {tmp_path / 'savee'}: the folder does not exist." in caplog.messages[-1]
    del config["data"]["corpora"]["demo"]
    with pytest.raises(CorpusNotFoundError, match=r"savee: the folder does not exist"):
        planned(config)
    config["paths"]["missing"] = "ignore"
    with pytest.raises(ConfigError, match=r"paths\.missing must be error or leave_out; got 'ignore'"):
        planned(config)
