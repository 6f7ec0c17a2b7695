"""Optuna proposes, dev speakers choose, test speakers are scored once; an interrupted search resumes."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from ser.errors import ConfigError, PrunedError
from ser.runtime.conf_dir import conf_dir
from ser.sweeps import job
from ser.sweeps.search import _without_password
from ser.sweeps.space import settings_of_space, space_of
from ser.training import experiment
from ser.training.callbacks import PRUNER, Trial
from tests.composed import composed
from tests.sweeps.conftest import Begun

Sweep = Callable[..., int]
LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"


@pytest.fixture
def dev_uar_of() -> Callable[[Mapping[str, Any]], float]:
    """A rate of 0.01 is best."""
    return lambda settings: 1 - abs(math.log10(settings["optimizer"]["lr"]) + 2)


@pytest.fixture
def search(sweep: Sweep) -> Sweep:
    """``search("hydra.sweeper.n_trials=3")``: over the rate alone, on one fold."""
    return lambda *arguments: sweep(
        "hparams_search=optuna", "~space", "hydra.sweeper.params={}", LR, "fold=0", *arguments
    )


def study(tmp_path: Path) -> optuna.Study:
    (file,) = tmp_path.glob("multirun/*/study.db")
    (name,) = optuna.get_all_study_names(f"sqlite:///{file}")
    assert name == file.parent.name
    return optuna.load_study(study_name=name, storage=f"sqlite:///{file}")


def rates(begun: Begun) -> list[float]:
    return [settings["optimizer"]["lr"] for settings in begun]


@pytest.mark.slow
def test_dev_speakers_choose_and_test_speakers_are_scored_once(
    search: Sweep, begun: Begun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search("hydra.sweeper.n_trials=6") == 0
    trials = study(tmp_path).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    assert [settings["test"] for settings in begun] == [False] * 6 + [True] * 2
    assert rates(begun)[0] == 2e-3, "the settings that the search begins with are its first trial"
    best = max(trials, key=lambda trial: trial.value or 0)
    assert rates(begun)[6:] == [2e-3, best.params["optimizer.lr"]]
    assert len(set(rates(begun)[:6])) == 6
    (folder,) = (file.parent for file in tmp_path.glob("multirun/*/study.db"))
    table = pd.read_csv(folder / "search" / "trials.csv")
    assert table["dev_uar"].tolist() == sorted((trial.value for trial in trials), reverse=True)
    page = (folder / "search" / "search.html").read_text()
    assert "UAR of test speakers" in page
    assert page.count("data:image/png") == 3
    error = capsys.readouterr().err
    assert "Trial 5 (1 to go)" in error
    assert "UAR of test speakers, chosen settings: " in error


@pytest.mark.slow
def test_more_trials_resume_the_study_and_propose_new_settings(search: Sweep, begun: Begun, tmp_path: Path) -> None:
    assert search("hydra.sweeper.n_trials=4") == 0
    before = rates(begun)
    begun.clear()
    assert search("hydra.sweeper.n_trials=7") == 0
    asked = [settings for settings in begun if not settings["test"]]
    assert len(asked) == 3
    assert not {*rates(asked)} & {*before}
    assert len(study(tmp_path).trials) == 7


@pytest.mark.slow
def test_interrupted_trial_is_resumed(
    search: Sweep, begun: Begun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = job.train

    def stopping(settings: Mapping[str, Any], *, terminal: bool) -> Path:
        if len(begun) == 2:
            begun.append(dict(settings))
            raise KeyboardInterrupt
        return trained(settings, terminal=terminal)

    with monkeypatch.context() as patch:
        patch.setattr(job, "train", stopping)
        assert search("hydra.sweeper.n_trials=4") == 130
    assert [trial.state for trial in study(tmp_path).trials] == [TrialState.COMPLETE] * 2 + [TrialState.RUNNING]
    stopped = rates(begun)[2]
    begun.clear()
    assert search("hydra.sweeper.n_trials=4") == 0
    assert rates(begun)[0] == stopped
    assert [trial.state for trial in study(tmp_path).trials] == [TrialState.COMPLETE] * 4


@pytest.mark.slow
def test_failed_trials_are_recorded_and_too_many_end_the_search(
    search: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(settings: Mapping[str, Any], *, terminal: bool) -> Path:
        raise FloatingPointError("no number")

    monkeypatch.setattr(job, "train", fail)
    assert search("hydra.sweeper.n_trials=9", "hydra.sweeper.max_failed=3") == 2
    assert [trial.state for trial in study(tmp_path).trials] == [TrialState.FAIL] * 3
    error = capsys.readouterr().err
    assert "3 trials failed" in error
    assert "FloatingPointError: no number" in error
    assert "Traceback" not in error


@pytest.mark.slow
def test_pruned_trials_count_and_are_not_run_again(
    search: Sweep, begun: Begun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = job.train

    def pruning(settings: Mapping[str, Any], *, terminal: bool) -> Path:
        if len(begun) in (1, 2) and not settings["test"]:
            begun.append(dict(settings))
            raise PrunedError("Pruned: dev UAR 12.0 % in epoch 1, fold 0.")
        return trained(settings, terminal=terminal)

    monkeypatch.setattr(job, "train", pruning)
    assert search("hydra.sweeper.n_trials=4") == 0
    states = [trial.state for trial in study(tmp_path).trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED, TrialState.COMPLETE]
    assert search("hydra.sweeper.n_trials=4") == 0
    assert len(begun) <= 6


@pytest.mark.slow
def test_a_search_of_something_else_in_the_same_storage_is_another_study(search: Sweep, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    shared = f"hydra.sweeper.storage='{storage}'"
    assert search("hydra.sweeper.n_trials=2", shared) == 0
    assert search("hydra.sweeper.n_trials=2", shared, "trainer.max_epochs=3") == 0
    assert len(optuna.get_all_study_names(storage)) == 2


@pytest.mark.slow
def test_trial_reported_by_another_machine_is_unchanged(
    search: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = job.train

    def told(settings: Mapping[str, Any], *, terminal: bool) -> Path:
        if trial := settings["sweep"]["trial"]:
            study(tmp_path).tell(trial["number"], 0.125)
        return trained(settings, terminal=terminal)

    monkeypatch.setattr(job, "train", told)
    assert search("hydra.sweeper.n_trials=2") == 0
    assert [trial.value for trial in study(tmp_path).trials] == [0.125] * 2


@pytest.mark.slow
def test_no_record_holds_the_address_of_the_storage_and_so_its_password(search: Sweep, tmp_path: Path) -> None:
    assert search("hydra.sweeper.n_trials=1") == 0
    (folder,) = tmp_path.glob("multirun/*")
    texts = [
        file.read_text() for file in folder.rglob("*") if file.suffix in (".json", ".yaml", ".csv", ".log", ".html")
    ]
    assert len(texts) > 3
    assert not [text for text in texts if "sqlite:" in text]
    (kept,) = folder.glob(".storage")
    assert kept.read_text() == f"sqlite:///{folder / 'study.db'}"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert _without_password("postgresql+psycopg2://me:secret@here/db") == "postgresql+psycopg2://me:***@here/db"


@pytest.mark.slow
def test_several_objectives_have_a_front_and_the_first_chooses(search: Sweep, begun: Begun, tmp_path: Path) -> None:
    assert search("hydra.sweeper.n_trials=4", "hydra.sweeper.objectives=[dev_uar,parameters]") == 0
    found = study(tmp_path)
    assert [trial.values[1] for trial in found.trials] == [7.0] * 4  # noqa: PD011
    best = max(found.trials, key=lambda trial: trial.values[0])  # noqa: PD011
    assert rates(begun)[-1] == best.params["optimizer.lr"]
    assert list(tmp_path.glob("multirun/*/search/front.png"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials must be an integer of 1 or more; got 0"),
        (
            ["hydra.sweeper.objectives=[uar]"],
            "objectives must be some of dev_uar, dev_ccc, parameters, latency; got ['uar']",
        ),
        (["optimizer.lr=0.1"], "A search must have ranges; got none"),
        (["fold=0,1"], "fold must have one value in a search"),
        (["protocol.seed=0,1"], "protocol.seed must have one value in a search"),
        (["fold=all", "seed=0,1"], "seed must be the same in all folds; got a range"),
        (["model.dropout=interval(0.5,0.1)"], "model.dropout=interval(0.5,0.1) cannot be searched"),
        (["hydra.sweeper.storage=nowhere"], "hydra.sweeper.storage=nowhere cannot be opened"),
        (
            ["hydra.sweeper.storage='sqlite:////no/such/folder/study.db'"],
            "hydra.sweeper.storage=sqlite:////no/such/folder/study.db cannot be opened",
        ),
        (["hydra.sweeper.sampler._target_=optuna.samplers.TPE"], "optuna.samplers has no TPE"),
    ],
)
def test_wrong_settings_are_sentences(
    search: Sweep, begun: Begun, wrong: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(*wrong) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not begun


def test_a_search_without_its_package_says_what_to_install(
    search: Sweep, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ser.sweeps.space.find_spec", lambda _: None)
    assert search() == 2
    assert "pip install 'ser[search]'" in capsys.readouterr().err


@pytest.mark.slow
def test_search_of_equal_trials_ends_with_a_page(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("hparams_search=optuna", "~space", "hydra.sweeper.params={}", "hydra.sweeper.n_trials=3", "fold=0")
    assert sweep(*arguments, "model.dropout=choice(0.3)") == 0
    assert "dropout 0.3" in capsys.readouterr().err
    assert {file.name for file in tmp_path.glob("multirun/*/search/*.png")} == {"history.png", "parallel.png"}


OWN_LOSS = """\
from ser.training.losses.cross_entropy import CrossEntropy


class Plain(CrossEntropy):
    def __init__(self, counts):
        super().__init__(counts)
"""


@pytest.mark.slow
def test_search_leaves_out_ranges_of_settings_that_the_loss_does_not_have(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain_loss.py").write_text(OWN_LOSS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(job, "train", experiment.train)  # a real training
    few = ("protocol.folds=3", "batch_size=8", "trainer.max_epochs=1", "trainer.accelerator=cpu", "fold=0")
    loss = ("~loss", "+loss={_target_: plain_loss.Plain}")
    assert sweep("hparams_search=optuna", "hydra.sweeper.n_trials=2", *few, *loss) == 0, capsys.readouterr().err
    found = study(tmp_path).trials
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * 2
    assert "optimizer.lr" in found[0].params
    assert "loss.label_smoothing" not in found[0].params
    said = "Not searched, as the configuration has no such settings: loss.label_smoothing"
    assert said in " ".join(capsys.readouterr().err.split())


def test_ranges_become_distributions_of_optuna() -> None:
    lines = {
        "a=interval(0.1,0.6)": FloatDistribution(0.1, 0.6),
        "b=tag(log,interval(1e-4,1e-2))": FloatDistribution(1e-4, 1e-2, log=True),
        "c=tag(int,log,interval(1,64))": IntDistribution(1, 64, log=True),
        "d=range(1,5)": IntDistribution(1, 4),
        "e=range(1,10,3)": IntDistribution(1, 7, step=3),
        "f=range(0.0,1.0,0.25)": FloatDistribution(0.0, 0.75, step=0.25),
        "g=8,null,relu": CategoricalDistribution(["8", "null", "relu"]),
        "h=choice(x,y)": CategoricalDistribution(["x", "y"]),
    }
    fixed, space = space_of(OverridesParser.create().parse_overrides([*lines, "i=7", "d=range(1,9)", "d=range(1,5)"]))
    assert fixed == ["i=7"]
    assert list(space.values()) == list(lines.values())
    with pytest.raises(ConfigError, match="Give interval, range or choice"):
        space_of(OverridesParser.create().parse_overrides(["a=glob(*)"]))


def test_callback_reports_every_epoch_and_stops_when_pruned(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    made = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    file = tmp_path / "address"
    file.write_text(storage)
    made.set_user_attr(PRUNER, {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 1})
    trainer = SimpleNamespace(
        datamodule=SimpleNamespace(data=SimpleNamespace(fold=1)),
        max_epochs=10,
        current_epoch=0,
        callback_metrics={},
        is_global_zero=True,
    )

    def epochs(callback: Trial, uars: list[float]) -> None:
        callback.on_train_start(trainer, None)  # type: ignore[arg-type]
        for epoch, uar in enumerate(uars):
            trainer.current_epoch, trainer.callback_metrics = epoch, {"dev_uar": uar}
            callback.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]

    first = made.ask()
    epochs(Trial(file, "s", first.number), [0.3, 0.5, 0.6])
    made.tell(first, 0.6)
    assert made.trials[0].intermediate_values == {10: 0.3, 11: 0.5, 12: 0.6}
    second = made.ask()
    with pytest.raises(PrunedError, match=r"Pruned: dev UAR 20\.0 % in epoch 2, fold 1"):
        epochs(Trial(file, "s", second.number), [0.4, 0.2, 0.9])
    assert made.trials[1].intermediate_values == {10: 0.4, 11: 0.2}
    third = made.ask()
    epochs(Trial(file, "s", third.number, first_fold=1), [0.9])
    assert made.trials[2].intermediate_values == {0: 0.9}, (
        "the only fold of a trial starts at its epoch 0, so that it warms up"
    )


SPACES = [path.stem for path in sorted((Path(conf_dir()) / "space").glob("*.yaml")) if path.stem != "training"]


@pytest.mark.parametrize("model", [name for name in SPACES if name != "classical"])
def test_search_has_ranges_of_settings_that_the_model_has(model: str) -> None:
    config = OmegaConf.create(composed(f"model={model}"))
    ranges, absent = settings_of_space(config["space"], config)
    assert any(key.startswith("model.") for key in ranges)
    assert absent == []
    assert ("batch_size" in ranges) == ("optimizer" in config)
