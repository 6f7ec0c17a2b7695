"""Small copies of runs: none takes the place of another configuration's."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from scripts.keep_results import keep, name_of
from ser.errors import RunError
from ser.runs.folder import RunFolder

NAME = "demo-own-speaker_cv"


def test_copy_is_replaced_by_the_same_configuration_only(one: Path, tmp_path: Path) -> None:
    first = one.rename(one.parent / f"{NAME}-20260102-030405")
    keep(RunFolder(first), tmp_path / "results")
    kept = tmp_path / "results" / NAME
    assert (kept / "predictions.parquet").read_bytes() == (first / "predictions.parquet").read_bytes()
    assert not list(kept.rglob("*.ckpt"))
    later = first.rename(first.parent / f"{NAME}-20260102-030406")
    keep(RunFolder(later), tmp_path / "results")
    keep(RunFolder(kept), tmp_path / "results")
    settings = OmegaConf.load(later / "config.yaml")
    settings.batch_size = 7
    OmegaConf.save(settings, later / "config.yaml")
    before = (kept / "config.yaml").read_bytes()
    with pytest.raises(RunError, match="must be of a run with the settings of"):
        keep(RunFolder(later), tmp_path / "results")
    assert (kept / "config.yaml").read_bytes() == before


@pytest.mark.parametrize("folder", [f"{NAME}-seed1-3fa94c12", f"{NAME}-seed1-20260102-030405"])
def test_seed_is_named_once(one: Path, folder: str) -> None:
    metrics = one / "metrics.json"
    metrics.write_text(metrics.read_text().replace('"seed": 0', '"seed": 1'))
    assert name_of(RunFolder(one.rename(one.parent / folder))).count("seed1") == 1
