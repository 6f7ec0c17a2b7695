"""The sweep that a W&B agent drives: the command that it makes of the file is one that this project takes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ser.training import experiment
from tests.conftest import Settings

FILE = Path(__file__).parents[2] / "scripts" / "wandb_sweep.yaml"


def sides(parameter: dict[str, Any]) -> list[Any]:
    """The values that a parameter can take, or the ends of its range."""
    if "value" in parameter:
        return [parameter["value"]]
    return parameter.get("values") or [parameter["min"], parameter["max"]]


@pytest.mark.parametrize("end", [0, -1])
def test_an_agent_s_command_composes_and_trains(settings: Settings, end: int) -> None:
    """The agent fills ``${args_no_hyphens}`` with ``name=value`` words."""
    sweep = yaml.safe_load(FILE.read_text())
    assert sweep["command"][2:] == ["-m", "${program}", "${args_no_hyphens}"]
    asked = {name: sides(parameter)[end] for name, parameter in sweep["parameters"].items()}
    words = [f"{name}={value}" for name, value in asked.items() if name not in ("data", "batch_size")]
    config = settings(*words, f"batch_size={asked['batch_size']}", "trainer.max_epochs=1")
    folder = experiment.train(config)
    assert (folder / "fold_0" / "dev_metrics.json").exists()
    assert not (folder / "metrics.json").exists(), "the test speakers were scored"
    assert not (folder / "predictions.parquet").exists()
    history = (folder / "fold_0" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert sweep["metric"]["name"] in history, "what W&B is to optimise is not logged"
