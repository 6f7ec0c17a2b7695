"""The commands as a user types them: help, errors, sweeps and trackers."""

import errno
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from ser.command import RESUME, friendly_errors
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
@pytest.mark.parametrize("name", ["train", "prepare", "describe", "evaluate", "audit", "compare", "verify"])
def test_help_fits_the_terminal(command: Command, name: str, columns: str) -> None:
    done = command(name, "--help", COLUMNS=columns)
    assert done.returncode == 0, done.stderr
    assert f"python -m ser.{name}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= int(columns)


def test_help_explains_every_protocol_and_lists_every_choice(command: Command) -> None:
    shown = command("train", "--help", COLUMNS="80").stdout
    lines = [line.split() for line in shown.splitlines() if line.startswith("    ")]
    protocols = [line for line in lines if (CONF / "protocol" / f"{line[0]}.yaml").is_file()]
    assert len(protocols) == len(list((CONF / "protocol").glob("*.yaml")))
    assert all(len(line) > 3 and line[-1].endswith(".") for line in protocols)
    chosen = OmegaConf.load(CONF / "train.yaml").defaults
    groups = {str(key).removeprefix("optional ") for entry in chosen if not isinstance(entry, str) for key in entry}
    hidden = {"space", "selection"}  # they follow the model and the labels
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
def test_help_and_configuration_do_not_import_torch(command: Command, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    (tmp_path / "lightning.py").write_text("raise SystemExit('lightning was imported')")
    done = command("train", *arguments, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert done.returncode == 0, done.stderr
    assert "imported" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "prepare"])
@pytest.mark.parametrize("data", ["ravdess", "crema", "tess", "savee"])
def test_an_absent_corpus_says_how_to_get_it_and_exits_2(sooner: Command, name: str, data: str) -> None:
    done = sooner(name, f"data={data}")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "licence" in done.stderr
    assert "paths.corpora=" in done.stderr
    assert f"python -m ser.prepare data={data} download=true" in done.stderr or data == "savee"


@pytest.mark.slow
def test_a_training_writes_only_its_run_folder(command: Command, quick: list[str], tmp_path: Path) -> None:
    done = command("train", *quick)  # with the default logger, and nobody logged in
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}
    assert not list(tmp_path.rglob("wandb*"))
    assert "wandb" not in (done.stdout + done.stderr).lower()
    assert "litlogger" not in done.stdout + done.stderr
    assert "SYNTHETIC SPEECH" in done.stdout
    (card,) = tmp_path.glob("runs/*/card.html")
    assert done.stdout.splitlines()[-1] == f"Result card: {card.relative_to(tmp_path)}"


OWN = """\
from ser.models.cnn import CNN


class Own(CNN):
    def classify(self, features, lengths):
        raise ZeroDivisionError("unforeseen")
"""


@pytest.mark.slow
def test_an_unforeseen_error_of_a_model_shows_its_traceback(sooner: Command, quick: list[str], tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    done = sooner("train", *quick, "model._target_=own.Own")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert 'own.py", line 6, in classify' in done.stderr
    assert done.stderr.strip().endswith("ZeroDivisionError: unforeseen")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full. Free some space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/data/runs"), "The disk is full. Free some space"),
        (RuntimeError("Could not determine home directory."), "There is no home folder for ~. Set HOME"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/runs"), "Permission denied: /data/runs."),
        (OSError(errno.EROFS, "Read-only file system", "/data/runs"), "Permission denied: /data/runs."),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/data/runs"), "/data/runs: Not a directory."),
    ],
)
def test_an_error_of_the_file_system_is_a_sentence(
    error: OSError, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, friendly_errors():
        raise error
    assert ended.value.code == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith(words)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
@pytest.mark.parametrize(
    "write",
    [
        lambda full: full.write_text("a"),
        lambda full: pd.DataFrame({"a": [0.5]}).to_parquet(full),
        lambda full: Figure().savefig(full, format="png"),
    ],
    ids=["text", "table", "picture"],
)
def test_a_full_disk_is_a_sentence(write: Callable[[Path], object], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), friendly_errors():
        write(Path("/dev/full"))
    assert "The disk is full." in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_in_place_of_the_folder_of_runs_is_named(sooner: Command, quick: list[str], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = sooner("train", *quick, "paths.runs=notes.txt")
    assert done.returncode == 2
    assert "notes.txt" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_ctrl_c_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, friendly_errors(RESUME):
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err == (
        "Interrupted. No partial files were left. Resume with the same command plus ckpt=last.\n"
    )


WRONG = [
    ("model=trasformer", ["Did you mean model=transformer?"]),
    ("modle=cnn", ["Unknown setting: modle. Did you mean model?"]),
    ("+epochs=1", ["Did you mean trainer.max_epochs?"]),
    ("fold=[", ["must be <name>=<value>", "fold=["]),
    ("fold=9", ["fold must be 0 to 2", "got 9"]),
    ("+model.extra=1", ["extra", "channels"]),
    ("trainer.max_epochs=0", ["trainer.max_epochs must be an integer of 1 or more; got 0"]),
    ("seed=-1", ["seed", "4294967295"]),
]
WRONG_TOO = [
    ("model=resnet", ["model must be one of bilstm, classical, cnn", "got resnet"]),
    ("model=null", ["model must be one of"]),
    ("data=[ravdess,msp_improv]", ["data must be one of cafe, crema", "got msp_improv"]),
    ("experiment=none", ["experiment must be one of", "got none"]),
    ("augment=null", ["augment must be one of", "augment=none"]),
    ("epochs=3", ["Did you mean trainer.max_epochs?"]),
    ("lr=1e-3", ["optimizer.lr?"]),
    ("device=cuda", ["Did you mean trainer.accelerator?"]),
    ("batch=16", ["Did you mean batch_size?"]),
    ("dataset=ravdess", ["Did you mean data?"]),
    ("+selection.patienc=1", ["selection.patienc. Did you mean callbacks.early_stopping.patience?"]),
    ("+audio.trimdb=3", ["Unknown setting: audio.trimdb. Did you mean audio.trim_db?"]),
    ("++seed.x=1", ["Unknown setting: seed.x"]),
    ("+seed=1", ["Write seed=<value>, without a plus sign"]),
    ("fold=${nothing}", ["fold refers to another setting that does not exist"]),
    ("model.chanels=3", ["chanels"]),
    ("normalise=sex", ["normalise must be one of corpus, none, speaker, training, utterance; got sex"]),
    ("labels.target=distribution", ["votes", "demo"]),
    ("protocol=luna5", ["ravdess", "speaker_cv"]),
    ("trainer.precision=8", ["precision"]),
    ("trainer.devices=2", ["trainer.devices must be 1 device", "got 2", "trainer=ddp"]),
    ("data=[ravdess,savee]", ["Several corpora", "protocol=speaker_cv"]),
]
"""More of them, in the slow tests."""


@pytest.mark.parametrize(
    ("override", "words"), [*WRONG, *(pytest.param(*case, marks=pytest.mark.slow) for case in WRONG_TOO)]
)
def test_the_error_names_the_wrong_setting(sooner: Command, quick: list[str], override: str, words: list[str]) -> None:
    few = [] if override.startswith(("protocol=", "data=")) else quick
    done = sooner("train", *few, override)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[0], "the error begins with an empty line"
    for word in words:
        assert word in done.stderr, done.stderr


@pytest.mark.slow
def test_describe_takes_any_path(sooner: Command, tmp_path: Path, tiny_demo: Path) -> None:
    lines = ["file,emotion,speaker", *(f"{f},{f.stem[-5:-2]},{f.name[:3]}" for f in sorted(tiny_demo.iterdir()))]
    name = "it's [my] ünï=1, a.csv"
    (tmp_path / name).write_text("\n".join(lines))
    done = sooner("describe", name)
    assert done.returncode == 0, done.stderr
    again = shlex.split(next(line for line in done.stdout.splitlines() if "ser.prepare" in line))
    assert again[:3] == ["python", "-m", "ser.prepare"]
    prepared = sooner("prepare", *again[3:])
    assert prepared.returncode == 0, prepared.stderr
    assert "36" in prepared.stdout


@pytest.mark.parametrize(("path", "told"), [("no.csv", "which does not exist"), (".", "data.root must be a folder of")])
def test_describe_names_the_path_that_holds_nothing(sooner: Command, path: str, told: str) -> None:
    done = sooner("describe", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_evaluate_asks_for_the_run(sooner: Command) -> None:
    done = sooner("evaluate")
    assert done.returncode == 2
    assert done.stderr.strip() == "Missing required setting: run. Set it with run=<value>."


def test_evaluate_names_the_missing_file(command: Command, tmp_path: Path) -> None:
    done = command("evaluate", f"run={tmp_path}")
    assert done.returncode == 2
    assert "metrics.json" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_failing_job_of_a_sweep_does_not_stop_the_others(sooner: Command, quick: list[str], tmp_path: Path) -> None:
    done = sooner("train", "-m", *quick, "logger=csv", "fold=0,9,1")
    assert done.returncode == 1
    (sweep,) = (tmp_path / "multirun").iterdir()
    assert {d.name.split("-")[3] for d in sweep.iterdir() if (d / "metrics.json").exists()} == {"fold0", "fold1"}
    assert "got 9" in done.stderr
    assert (sweep / "comparison" / "comparison.html").exists()
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_evaluate_takes_the_folder_of_a_job_of_a_sweep(sooner: Command, quick: list[str], tmp_path: Path) -> None:
    swept = sooner("train", "-m", *quick, "logger=csv", "fold=0,1", "sweep.report=null")
    assert swept.returncode == 0, swept.stderr
    (sweep,) = (tmp_path / "multirun").iterdir()
    job = next(file.parent for file in sweep.glob("*/metrics.json"))
    assert re.fullmatch(r"[\w.+-]+", f"{sweep.name}{job.name}")
    done = sooner("evaluate", f"run=multirun/{sweep.name}/{job.name}")
    assert done.returncode == 0, done.stderr
    assert "numbers of metrics.json agree with predictions.parquet" in done.stdout


@pytest.mark.slow
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


@pytest.mark.slow
def test_tensorboard_writes_events_for_the_fold(sooner: Command, quick: list[str], tmp_path: Path) -> None:
    done = sooner("train", *quick, "logger=tensorboard")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/*/fold_0/tensorboard/events.out.*"))


@pytest.mark.slow
def test_an_audit_reports_leaks_and_writes_splits_that_can_be_read_again(sooner: Command, tmp_path: Path) -> None:
    done = sooner("audit", "protocol=random", "out=found.json", "splits=split.json")
    assert done.returncode == 0, done.stderr
    assert "protocol=random: Random folds of clips" in done.stdout
    assert "not speaker-independent (100 % of test clips by training speakers" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert {finding["fold"] for finding in found} == set(range(5))
    again = sooner("audit", "protocol=file", "protocol.path=split.json")
    assert again.returncode == 0, again.stderr
    hashes = [fold["hash"] for fold in json.loads((tmp_path / "split.json").read_text())["folds"]]
    assert all(name in done.stdout and name in again.stdout for name in hashes)


@pytest.mark.slow
def test_audit_and_training_refuse_the_same_split(sooner: Command, tmp_path: Path) -> None:
    sooner("audit", "protocol=random", "splits=split.json")
    splits = json.loads((tmp_path / "split.json").read_text())
    for fold in splits["folds"]:
        fold["stamps"] = []
    (tmp_path / "split.json").write_text(json.dumps(splits))
    for name, code in (("audit", 1), ("train", 2)):
        done = sooner(name, "protocol=file", "protocol.path=split.json")
        assert done.returncode == code
        assert "train and test share speakers" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
