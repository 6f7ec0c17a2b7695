"""openSMILE's sets as features: its own numbers, what a card says, and the sentence where the package is missing."""

import sys

import numpy as np
import pytest
import torch

from ser.errors import ConfigError
from ser.features.smile import LICENCE, OpenSmile
from tests.features.clips import CLIPS, RATE, clip

opensmile = pytest.importorskip("opensmile")


@pytest.mark.parametrize("name", CLIPS)
def test_functionals_are_those_that_opensmile_gives_a_file(name: str) -> None:
    feature, samples = OpenSmile("eGeMAPSv02"), clip(name)
    waveform = torch.nn.functional.pad(torch.from_numpy(samples), (0, 8000))[None]
    vector, frames = feature(waveform, torch.tensor([len(samples)]))
    theirs = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    table = theirs.process_signal(samples, RATE)
    assert feature.names == tuple(table.columns)
    assert frames.tolist() == [1]
    np.testing.assert_array_equal(vector[0, :, 0].numpy(), table.to_numpy()[0])


def test_compare_2016_has_its_6373_functionals() -> None:
    assert OpenSmile("ComParE_2016").n_features == 6373


def test_licence_and_version_are_part_of_where_features_come_from() -> None:
    assert OpenSmile().provenance == {"features": {"library": f"opensmile {opensmile.__version__}", "licence": LICENCE}}
    assert "non-commercial" in LICENCE


def test_missing_package_is_a_sentence_with_its_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opensmile", None)  # as Python marks a module that cannot be imported
    with pytest.raises(ConfigError, match=r"pip install 'ser\[opensmile\]'. Its licence allows research"):
        OpenSmile("eGeMAPSv01b")


def test_unknown_set_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"features.feature_set must be one of ComParE_2016, .*; got egemaps"):
        OpenSmile("egemaps")
