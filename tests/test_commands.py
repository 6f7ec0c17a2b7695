"""The commands as a user types them: help, errors, sweeps, and what trackers are left with."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ser.runtime.conf_dir import conf_dir
from tests import forked
from tests.offline_wandb import offline

Command = Callable[..., "subprocess.CompletedProcess[str]"]
CONF = Path(conf_dir())


@pytest.fixture
def quick(tiny_demo: Path) -> list[str]:
    """Settings of a training of a second."""
    few = [f"+data.corpora.demo.root={tiny_demo}", "protocol.folds=3", "batch_size=8"]
    return [*few, "trainer.max_epochs=1", "trainer.accelerator=cpu"]


@pytest.fixture
def environment(tmp_path: Path, stores: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SER_", "WANDB_"))}
    own = {"SER_STORES": str(stores), "SER_HOME": str(tmp_path / "home"), "NETRC": str(tmp_path / "netrc")}
    return {**kept, **own, "COLUMNS": "120"}


@pytest.fixture
def command(tmp_path: Path, environment: dict[str, str]) -> Command:
    """Run ``python -m ser.<name>`` in an empty folder; give what it printed."""

    def run(name: str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        line, env = [sys.executable, "-m", f"ser.{name}", *arguments], {**environment, **variables}
        return subprocess.run(
            line, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )

    return run


@pytest.fixture
def sooner(tmp_path: Path, environment: dict[str, str]) -> Command:
    """The same in a fraction of the time, where it does not matter what a command imports."""

    def run(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return forked.run([f"ser.{name}", *arguments], tmp_path, environment)

    return run


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("name", ["train", "prepare", "evaluate", "audit", "compare", "verify"])
def test_help_fits_the_terminal(command: Command, name: str, columns: str) -> None:
    done = command(name, "--help", COLUMNS=columns)
    assert done.returncode == 0, done.stderr
    assert f"python -m ser.{name}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= int(columns)


def test_help_has_a_line_for_every_choice_of_a_group(command: Command) -> None:
    shown = command("train", "--help", COLUMNS="80").stdout
    lines = [line.split() for line in shown.splitlines() if line.startswith("    ")]
    protocols = [line for line in lines if (CONF / "protocol" / f"{line[0]}.yaml").is_file()]
    assert len(protocols) == len(list((CONF / "protocol").glob("*.yaml")))
    assert all(len(line) > 3 and line[-1].endswith(".") for line in protocols)
    chosen = OmegaConf.load(CONF / "train.yaml").defaults
    groups = {str(key).removeprefix("optional ") for entry in chosen if not isinstance(entry, str) for key in entry}
    hidden = {"space"}  # follows the model
    for group in groups - hidden:
        options = [file.stem for file in (CONF / group).glob("*.yaml")]
        assert len(options) < 2 or all(re.search(rf"\b{option}\b", shown) for option in options), group


def test_help_does_not_import_hydra(command: Command, tmp_path: Path) -> None:
    for package in ("hydra", "omegaconf"):
        (tmp_path / f"{package}.py").write_text(f"raise SystemExit('{package} was imported')")
    done = command("train", "--help", PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--cfg", "job"], ["model=transformer", "data=crema", "--cfg", "job"]]
)
def test_help_and_configuration_come_without_torch(command: Command, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    (tmp_path / "lightning.py").write_text("raise SystemExit('lightning was imported')")
    done = command("train", *arguments, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert done.returncode == 0, done.stderr
    assert "imported" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["train", "prepare"])
@pytest.mark.parametrize("data", ["ravdess", "crema", "tess", "savee"])
def test_an_absent_corpus_says_how_to_get_it_and_exits_2(sooner: Command, name: str, data: str) -> None:
    done = sooner(name, f"data={data}")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "licence" in done.stderr
    assert "paths.corpora=" in done.stderr
    assert f"python -m ser.prepare data={data} download=true" in done.stderr or data == "savee"


def test_a_training_leaves_nothing_in_the_folder_but_its_run(
    command: Command, quick: list[str], tmp_path: Path
) -> None:
    done = command("train", *quick, "logger=csv")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}
    assert "SYNTHETIC SPEECH" in done.stdout


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model=resnet", ["model must be one of bilstm, cnn", "got resnet"]),
        ("model=trasformer", ["Did you mean model=transformer?"]),
        ("model=null", ["model must be one of"]),
        ("data=[ravdess,iemocap]", ["data must be one of crema", "got iemocap"]),
        ("experiment=none", ["experiment must be one of", "got none"]),
        ("augment=null", ["augment must be one of", "augment=[]"]),
        ("modle=cnn", ["Unknown setting: modle. Did you mean model?"]),
        ("epochs=3", ["Did you mean trainer.max_epochs?"]),
        ("+epochs=1", ["Did you mean trainer.max_epochs?"]),
        ("lr=1e-3", ["optimizer.lr?"]),
        ("device=cuda", ["Did you mean trainer.accelerator?"]),
        ("batch=16", ["Did you mean batch_size?"]),
        ("dataset=ravdess", ["Did you mean data?"]),
        ("+selection.patienc=1", ["Unknown setting: selection.patienc. Did you mean selection.patience?"]),
        ("+audio.trimdb=3", ["Unknown setting: audio.trimdb. Did you mean audio.trim_db?"]),
        ("++seed.x=1", ["Unknown setting: seed.x"]),
        ("+seed=1", ["Write seed=<value>, without a plus sign"]),
        ("fold=[", ["must be <name>=<value>", "fold=["]),
        ("fold=${nothing}", ["fold refers to another setting that does not exist"]),
        ("fold=9", ["fold=9", "0 to 2"]),
        ("model.chanels=3", ["chanels"]),
        ("normalise=sex", ["normalise", "utterance, training, speaker, none"]),
        ("+model.extra=1", ["extra", "channels"]),
        ("labels.target=distribution", ["votes", "demo"]),
        ("protocol=luna5", ["ravdess", "speaker_cv"]),
        ("trainer.precision=8", ["precision"]),
        ("trainer.devices=2", ["devices=2", "trainer=ddp"]),
        ("trainer.max_epochs=-1", ["max_epochs"]),
        ("seed=-1", ["seed", "4294967295"]),
        ("data=[ravdess,savee]", ["Several corpora", "protocol=speaker_cv"]),
    ],
)
def test_a_wrong_setting_is_a_sentence_that_names_it(
    sooner: Command, quick: list[str], override: str, words: list[str]
) -> None:
    few = [] if override.startswith(("protocol=", "data=")) else quick
    done = sooner("train", *few, override)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_evaluate_asks_for_the_run(sooner: Command) -> None:
    done = sooner("evaluate")
    assert done.returncode == 1
    assert done.stderr.strip() == "Missing required setting: run. Set it with run=<value>."


def test_evaluate_names_what_a_folder_lacks(command: Command, tmp_path: Path) -> None:
    done = command("evaluate", f"run={tmp_path}")
    assert done.returncode == 1
    assert "metrics.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failing_job_of_a_sweep_leaves_the_others_whole(sooner: Command, quick: list[str], tmp_path: Path) -> None:
    done = sooner("train", "-m", *quick, "logger=csv", "fold=0,9,1")
    assert done.returncode == 1
    (sweep,) = (tmp_path / "multirun").iterdir()
    assert {d.name.split("-")[3] for d in sweep.iterdir() if (d / "metrics.json").exists()} == {"fold0", "fold1"}
    assert "fold=9" in done.stderr
    assert (sweep / "comparison" / "comparison.html").exists()
    assert "Traceback" not in done.stderr


def test_every_job_of_a_sweep_has_its_own_offline_wandb_run(sooner: Command, quick: list[str], tmp_path: Path) -> None:
    done = sooner(
        "train", "-m", *quick, "seed=0,1", "logger=wandb", "logger.artifacts=[split,card]", "logger.tags=[mine]"
    )
    assert done.returncode == 0, done.stderr
    (sweep,) = (tmp_path / "multirun").iterdir()
    jobs = [offline(job) for job in sorted(sweep.glob("*-seed[01]-*"))]
    for job in jobs:
        assert job.exit_code == 0, "the run was not finished"
        assert set(job.run.tags) == {"mine", "synthetic speech"}
        assert (job.run.run_group, job.run.job_type) == (sweep.name, "demo-cnn-speaker_cv")
        assert {"split", "card"} <= set(job.artifacts)
        logged = {name.partition("/")[0] for row in job.rows for name in row}
        assert {"train_loss", "dev_loss", "dev_uar", "lr", "predictions", "confusion_matrix"} <= logged
        assert {"test/uar", "test/accuracy"} <= set(job.summary)
        assert list(job.folder.glob("files/media/table/predictions*.json"))
    assert [job.config["seed"] for job in jobs] == [0, 1]
    assert len({job.run.run_id for job in jobs}) == 2
    summary = offline(sweep)
    assert (summary.run.run_group, summary.run.job_type) == (sweep.name, "summary")
    logged = {name.partition("/")[0] for row in summary.rows for name in row}
    assert {"jobs", "comparison", "page"} <= logged
    (table,) = summary.folder.glob("files/media/table/jobs*.json")
    content = json.loads(table.read_text())
    states = [row[content["columns"].index("state")] for row in content["data"]]
    assert states == ["done", "done"]
    again = sooner(
        "train", "-m", *quick, "seed=0,1", "logger=wandb", "logger.artifacts=[split,card]", "logger.tags=[mine]"
    )
    assert again.returncode == 0, again.stderr
    assert offline(sweep).run.run_id == summary.run.run_id
    assert [offline(job).run.run_id for job in sorted(sweep.glob("*-seed[01]-*"))] == [j.run.run_id for j in jobs]


def test_tensorboard_by_choice(sooner: Command, quick: list[str], tmp_path: Path) -> None:
    done = sooner("train", *quick, "logger=tensorboard")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/*/tensorboard/events.out.*"))


def test_an_audit_prints_what_sides_share_and_writes_the_splits_that_another_run_reads(
    sooner: Command, tmp_path: Path
) -> None:
    done = sooner("audit", "protocol=random", "out=found.json", "splits=split.json")
    assert done.returncode == 0, done.stderr
    assert "not speaker-independent (100 % of test clips by training speakers" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert {finding["fold"] for finding in found} == set(range(5))
    again = sooner("audit", "protocol=file", "protocol.path=split.json")
    assert again.returncode == 0, again.stderr
    hashes = [fold["hash"] for fold in json.loads((tmp_path / "split.json").read_text())["folds"]]
    assert all(name in done.stdout and name in again.stdout for name in hashes)


def test_an_audit_with_an_error_exits_1_and_training_refuses_the_same(sooner: Command, tmp_path: Path) -> None:
    sooner("audit", "protocol=random", "splits=split.json")
    splits = json.loads((tmp_path / "split.json").read_text())
    for fold in splits["folds"]:
        fold["stamps"] = []
    (tmp_path / "split.json").write_text(json.dumps(splits))
    for name in ("audit", "train"):
        done = sooner(name, "protocol=file", "protocol.path=split.json")
        assert done.returncode == 1
        assert "speakers are in train and in test" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
