"""Names of sweeps and jobs: readable, unique, and a value of a command line as they stand."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ser.sweeps import names
from tests.sweeps.conftest import Begun

ALLOWED = re.compile(r"[A-Za-z0-9_+.-]+")
COMMANDS = (
    ["model=cnn,bilstm", "data=ravdess,savee", "seed=range(0,3)"],
    ["data=[ravdess,savee]", "labels=six", "+data.corpora.demo.root='/a b/ü=1,{x}'"],
    ["optimizer.lr=tag(log,interval(1e-4,1e-2))", "~augment.mixup", "trainer.devices=[0,1]"],
    [],
)


def config(**more: Any) -> dict[str, Any]:
    model = {"_target_": "ser.models.pretrained.Pretrained", "checkpoint": "/models/my encoder=v2,{best}"}
    return {
        "fold": 1,
        "seed": 0,
        "model": model,
        "data": {"corpora": {"ravdess": {}, "savee": {}}},
        "protocol": {"name": "speaker_cv"},
    } | more


def test_a_name_is_read_from_a_command_line_as_it_stands() -> None:
    made = [names.sweep_name(command) for command in COMMANDS]
    job = names.job_name(config())
    assert made[0].startswith("data-ravdess+savee_model-cnn+bilstm_seed-range_0+3-")
    assert job.startswith("ravdess+savee-my_encoder_v2_best_-speaker_cv-fold1-seed0-")
    for name in (*made, job):
        assert ALLOWED.fullmatch(name), name
        path = f"multirun/{name}/{job}"
        (parsed,) = OverridesParser.create().parse_overrides([f"run={path}"])
        assert parsed.value() == path


def test_other_commands_and_settings_have_other_names() -> None:
    alike = ["model=cnn,bilstm", "model=cnn+bilstm", "model-cnn=bilstm", "model=cnn bilstm"]
    assert len({names.sweep_name([command]) for command in alike}) == 4
    assert names.job_name(config()) != names.job_name(config(batch_size=8))
    assert names.job_name(config()) == names.job_name(config(workers=4, paths={"runs": "there"}))


@pytest.mark.slow
def test_a_sweep_of_an_earlier_version_is_named_and_started_anew(
    sweep: Callable[..., int], begun: Begun, folder: Callable[[], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("seed=0,1") == 0
    old = folder().with_name(f"seed=0,1-{folder().name.rpartition('-')[2]}")
    folder().rename(old)
    assert sweep("seed=0,1") == 0
    assert f"An earlier version ran this command in {old}" in capsys.readouterr().err
    assert len(begun) == 4
    shutil.rmtree(old)
    assert sweep("seed=0,1") == 0
    assert "earlier version" not in capsys.readouterr().err


@pytest.mark.slow
def test_jobs_whose_defaults_have_changed_are_said_to_start_anew(
    sweep: Callable[..., int], begun: Begun, folder: Callable[[], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("seed=0,1") == 0
    file = folder() / names.JOBS
    (known,) = json.loads(file.read_text())
    first, second = known["jobs"]
    renamed = f"{second[:-8]}00000000"
    (folder() / second).rename(folder() / renamed)
    known["jobs"] = {first: known["jobs"][first], renamed: known["jobs"][second]}
    file.write_text(json.dumps([known]))
    assert sweep("seed=0,1") == 0
    assert f"The defaults of 1 job have changed, as of {renamed}: starting anew" in capsys.readouterr().err
    assert [settings["seed"] for settings in begun] == [0, 1, 1]
