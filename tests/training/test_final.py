"""``fold=final``: every speaker trains but the dev speakers, nobody tests, and the model carries its sibling's numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ser
from ser.errors import RunError
from ser.protocols.final import final_split
from ser.protocols.plan import planned
from ser.protocols.random_split import RandomUtterances
from ser.protocols.stamps import DEV_SHARES_SPEAKERS, FINAL
from ser.runs.folder import CARD, METRICS, SIBLING, RunFolder
from ser.training.experiment import train
from tests.conftest import Settings

MODEL = ["model=lda", "features=mfcc"]


def test_every_speaker_trains_or_tunes(small_settings: Settings) -> None:
    plan = planned(small_settings(*MODEL, "fold=final"))
    folds = planned(small_settings(*MODEL, "fold=all")).splits
    (split,) = plan.splits
    speaker = plan.labelled.manifest["speaker"].to_numpy()
    assert len(split.test) == 0
    np.testing.assert_array_equal(split.dev, folds[0].dev)
    assert set(speaker[split.train]) | set(speaker[split.dev]) == set(speaker)
    assert not set(speaker[split.train]) & set(speaker[split.dev])
    assert [f for f in plan.check(0) if f.level == "error"] == []
    assert FINAL in plan.stamps(0)


def test_a_random_protocol_says_that_dev_speakers_train() -> None:
    manifest = pd.DataFrame({"speaker": list("abcd") * 10, "corpus": "x", "emotion": list("nh") * 20})
    manifest["id"] = [f"x/{i}" for i in range(40)]
    split = final_split(RandomUtterances().splits(manifest), manifest)
    assert DEV_SHARES_SPEAKERS in split.stamps
    assert len(split.train) + len(split.dev) == 40


@pytest.mark.slow
def test_final_model_carries_the_numbers_of_its_sibling(
    small_settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = f"paths.runs={tmp_path}"
    alone = train(small_settings(*MODEL, "fold=final", runs), terminal=False)
    assert alone.name.partition("-2")[0].endswith("-final")
    assert "no finished run of the same settings with fold=all" in (alone / "run.log").read_text()
    assert not (alone / SIBLING).exists()
    tested = RunFolder(train(small_settings(*MODEL, "fold=all", runs), terminal=False))
    train(
        small_settings(*MODEL, "fold=all", "features.n_mfcc=13", runs), terminal=False
    )  # of other settings, and newer
    final = train(small_settings(*MODEL, "fold=final", runs), terminal=False)
    found = json.loads((final / SIBLING).read_text())
    assert (found["run"], found["uar"]) == (tested.name, tested.metrics["uar"])
    assert found["splits"] == tested.about["splits"]
    assert not (final / METRICS).exists()
    assert not (final / CARD).exists()
    assert FINAL in ser.load(final).stamps
    with pytest.raises(RunError, match="or train one on every speaker with fold=final"):
        ser.load(tested.path)
