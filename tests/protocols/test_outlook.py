from pathlib import Path

import pandas as pd
import pytest

from ser.corpora.demo import Demo
from ser.corpora.labels import LabelScheme
from ser.corpora.manifest import Utterance, to_table
from ser.protocols.outlook import MOST_FOLDS, chosen, outlooks
from ser.protocols.unknown_speakers import with_stand_ins
from ser.runtime.conf_dir import conf_dir


def own(speakers: int | None, split: str | None = None) -> pd.DataFrame:
    """Four clips of each of two emotions by each speaker; 40 by nobody known."""
    clips = []
    for s in range(speakers or 5):
        for i in range(8):
            path = Path(f"/x/{s}_{i}.wav")
            further = {"split": split[s]} if split else None
            named = f"x/{s}" if speakers else None
            clips.append(
                Utterance(f"x/{s}_{i}", path, "x", named, None, ("sad", "angry")[i % 2], None, further=further)
            )
    table = to_table(clips)
    words = {"r": "train", "d": "dev", "t": "test"}
    return table.assign(further_split=table["further_split"].map(words)) if split else table


def names(manifest: pd.DataFrame) -> tuple[list[str], str | None]:
    """The protocols that are possible, and the chosen one."""
    found = outlooks(LabelScheme("native").apply(with_stand_ins(manifest)))
    best = chosen(found)
    return [outlook.name for outlook in found if not outlook.refused], best and best.name


@pytest.mark.parametrize(
    ("manifest", "possible", "best"),
    [
        (own(6), ["few_shot", "loso", "random", "random_matched", "speaker_cv"], "speaker_cv"),
        (own(2), ["random", "random_matched", "speaker_cv"], "speaker_cv"),
        (own(None), ["loso", "random", "random_matched", "speaker_cv"], "speaker_cv"),
        (
            own(3, split="rdt"),
            ["few_shot", "given_split", "loso", "random", "random_matched", "speaker_cv"],
            "given_split",
        ),
        (own(MOST_FOLDS + 1), ["few_shot", "random", "random_matched", "speaker_cv"], "speaker_cv"),
    ],
    ids=["six speakers", "two", "unknown", "with a split", "many"],
)
def test_possible_protocols_of_own_data(manifest: pd.DataFrame, possible: list[str], best: str) -> None:
    assert names(manifest) == (possible, best)


def test_every_protocol_is_tried_and_stamped_as_its_results_are() -> None:
    found = outlooks(LabelScheme("native").apply(to_table(Demo().utterances())))
    shipped = {file.stem for file in Path(conf_dir(), "protocol").glob("*.yaml")}
    assert [o.name for o in found] == sorted(shipped - {"meld"})
    of = {outlook.name: outlook for outlook in found}
    assert (of["speaker_cv"].folds, of["speaker_cv"].stamps) == (5, ())
    assert of["random"].stamps[0].startswith("not speaker-independent (100 %")
    assert "column split" in of["given_split"].refused
