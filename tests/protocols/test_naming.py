"""A protocol has the name of its published file in results only with the settings of that file."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from ser.protocols.naming import reported_name
from ser.protocols.plan import planned
from ser.protocols.split import Protocol
from ser.runtime.conf_dir import conf_dir
from ser.runtime.help_page import protocol_summary
from ser.runtime.instantiate import instantiate
from tests.conftest import Settings

FILES = sorted(Path(conf_dir(), "protocol").glob("*.yaml"))


def settings_of(name: str) -> dict[str, Any]:
    return dict(OmegaConf.to_container(OmegaConf.load(Path(conf_dir(), "protocol", f"{name}.yaml"))))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_packaged_settings_have_the_name_of_their_file(name: str) -> None:
    settings = settings_of(name)
    assert reported_name(settings, instantiate(settings, Protocol).name) == name


def test_other_folds_of_a_published_name_are_called_changed() -> None:
    luna5 = settings_of("luna5")
    same = [{"test": ["01", "02"], "dev": ["03"]}] * 5
    assert reported_name({**luna5, "folds": same}, "luna5") == "luna5 (changed)"
    assert reported_name({**luna5, "folds": luna5["folds"][:3]}, "luna5") == "luna5 (changed)"
    assert reported_name({**luna5, "source": "mine"}, "luna5") == "luna5 (changed)"
    cv = settings_of("speaker_cv")
    assert reported_name({**cv, "name": "luna5"}, "luna5") == "luna5 (changed)"  # another class


def test_settings_that_come_with_the_data_are_no_change() -> None:
    assert reported_name({**settings_of("file"), "path": "mine.json"}, "file") == "file"
    across = {**settings_of("cross_corpus"), "train": ["tess"], "test": ["ravdess"]}
    assert reported_name(across, "cross_corpus") == "cross_corpus"
    assert reported_name({**across, "dev_share": 0.5}, "cross_corpus") == "cross_corpus (changed)"


def test_setting_left_out_counts_as_its_default() -> None:
    assert reported_name({"_target_": settings_of("loso")["_target_"]}, "loso") == "loso"


def test_plan_and_descriptions_say_that_settings_differ(settings: Settings) -> None:
    assert planned(settings()).protocol == "speaker_cv (changed)"
    assert planned(settings("protocol.folds=5")).protocol == "speaker_cv"
    assert protocol_summary("speaker_cv (changed)").startswith(protocol_summary("speaker_cv"))
    assert "differ" in protocol_summary("speaker_cv (changed)")
    assert protocol_summary("mine (changed)") == ""
