"""The public functions: the same as the commands, with keywords, in any process."""

import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import ser
from ser.errors import ConfigError, RunError
from ser.runs.folder import RunFolder
from ser.runtime.composition import composed, written
from ser.runtime.conf_dir import conf_dir

PAGE = Path(__file__).parent.parent / "docs" / "api.md"
QUICK = ["trainer.max_epochs=1", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu", "batch_size=8"]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, tiny_demo: Path, stores: Path) -> dict[str, Any]:
    """What the example of the page gives, run as it stands but for a tiny corpus and a single epoch."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert code.count('"trainer.max_epochs=3"') == 1
    code = code.replace('"trainer.max_epochs=3"', ", ".join(map(repr, ["protocol.folds=3", *QUICK])))
    code = code.replace('data="demo"', f"data={{'corpora': {{'demo': {{'root': {str(tiny_demo)!r}}}}}}}")
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("example"))
        patch.setenv("SER_STORES", str(stores))
        patch.setenv("WANDB_MODE", "disabled")
        exec(code, names)
        assert Path("comparison/comparison.html").is_file()
        return {**names, "run": RunFolder(names["run"].path.resolve())}


@pytest.fixture
def run(example: dict[str, Any]) -> RunFolder:
    """The run of the example, to read only."""
    assert isinstance(example["run"], RunFolder)
    return example["run"]


def test_train_returns_the_run(run: RunFolder) -> None:
    assert len(run.folds) == 1
    assert len(run.predictions) == 12
    assert run.settings["optimizer"]["lr"] == 1e-3
    assert "UAR" in repr(run)


def test_load_returns_a_model_that_predicts_recordings(example: dict[str, Any], tiny_demo: Path) -> None:
    clips = sorted(tiny_demo.iterdir())[:2]
    predicted = example["model"].predict(clips)
    assert len(predicted) == 2
    probabilities = predicted[list(example["model"].classes)].to_numpy()
    assert probabilities.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_evaluate_returns_the_run_and_refuses_changed_numbers(run: RunFolder, tmp_path: Path) -> None:
    assert ser.evaluate(run.path).metrics == run.metrics
    with pytest.raises(RunError, match=r"metrics\.json"):
        ser.evaluate(tmp_path)


def test_compare_returns_a_row_for_every_system(run: RunFolder, tmp_path: Path) -> None:
    table = ser.compare(run.path)
    assert len(table) == 1
    assert table["uar"].item() == pytest.approx(run.metrics["uar"])
    kept = ser.compare(run.path, out=tmp_path / "page")
    assert kept["uar"].item() == pytest.approx(table["uar"].item())
    assert (tmp_path / "page" / "comparison.html").exists()
    with pytest.raises(ConfigError, match="out must be a folder where equivalent is given; got None"):
        ser.compare(run.path, equivalent=2)


def test_verify_returns_a_row_for_every_check(run: RunFolder, stores: Path) -> None:
    checks = ser.verify(run.path, stores=str(stores))
    assert {"name", "ok", "detail"} == set(checks.columns)
    assert not (checks["ok"] == False).any(), checks  # noqa: E712  (None is a check that cannot be made)


def test_prepare_returns_a_row_for_every_corpus(tiny_demo: Path, stores: Path) -> None:
    table = ser.prepare(data={"corpora": {"demo": {"root": tiny_demo}}}, paths={"stores": stores})
    assert table[["clips", "speakers", "problems"]].to_dict("records") == [{"clips": 36, "speakers": 6, "problems": 0}]
    assert Path(table["store"].item()).is_dir()


def test_audit_returns_a_row_for_every_finding(tiny_demo: Path, stores: Path) -> None:
    found = ser.audit(protocol="random", data={"corpora": {"demo": {"root": tiny_demo}}}, paths={"stores": stores})
    assert isinstance(found, pd.DataFrame)
    assert set(found["fold"]) == set(range(5))
    assert "stamp" in set(found["level"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 3}, r"Did you mean trainer\.max_epochs\?"),
        ({"selection": {"patienc": 1}}, r"Did you mean callbacks\.early_stopping\.patience\?"),
        ({"model": "resnet"}, "model must be one of"),
        ({"data": ["ravdess", "savee"]}, "Several corpora"),
        ({"experiment": "leakage"}, r"python -m ser\.train"),
    ],
)
def test_a_wrong_keyword_is_named(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ser.train(**settings)


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 1e-5, "all", "null", "two words", "it's", 'a "b", c', "a\\b", "/a/b=c", "1e-3", [1, "x, y"]],
)
def test_a_keyword_keeps_its_value(value: object) -> None:
    assert composed("prepare", written([], {"audio": {"trim_db": value}})).audio.trim_db == value


def test_the_functions_work_where_hydra_is_initialised() -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        before = compose("train", ["seed=3"])
        assert composed("train", ["seed=4"]).seed == 4
        assert compose("train", ["seed=3"]) == before


@pytest.mark.parametrize(
    "code",
    [
        "import ser; assert ser.train.__name__ == 'train'",
        "import ser.train, ser.compare; assert ser.train.__name__ == 'train'; assert ser.compare.__name__ == 'compare'",
        "from ser.train import main; import ser; assert callable(main); assert ser.train is not sys.modules['ser.train']",
        "from ser import train; import ser.train; assert train is ser.train",
    ],
)
def test_the_entry_modules_do_not_hide_the_functions(code: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", f"import sys; {code}"], check=True, cwd=tmp_path)


def test_the_page_lists_every_function() -> None:
    assert set(re.findall(r"^\| `ser\.(\w+)` \|", PAGE.read_text(), flags=re.MULTILINE)) == set(ser.__all__)


def test_the_package_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(ser)) is ser
