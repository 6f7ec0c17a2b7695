"""Labels of a model as classes, and what is known of its training."""

import numpy as np
import pytest
from scipy.special import softmax

from ser.errors import ConfigError
from ser.rescoring.foreign.labels import class_probabilities, classes_of, label_stamps
from ser.rescoring.foreign.seen import _table, seen_by, seen_stamps
from ser.runtime.conf_dir import conf_dir

FOUR = ("angry", "happy", "neutral", "sad")


def test_names_and_synonyms_need_no_map() -> None:
    assert classes_of(["Anger", "joy", "neutral", "SAD"], FOUR) == FOUR
    assert classes_of(["angry", "calm", "surprised", "sad"], FOUR) == ("angry", None, None, "sad")


def test_map_comes_before_the_names() -> None:
    of = classes_of(
        ["LABEL_0", "LABEL_1", "calm", "other"],
        FOUR,
        {"LABEL_0": "sad", "LABEL_1": "angry", "calm": "neutral", "other": None},
    )
    assert of == ("sad", "angry", "neutral", None)
    assert label_stamps(["LABEL_0", "LABEL_1", "calm", "other"], of, FOUR) == [
        "never answers: happy",
        "labels left out: other",
    ]


@pytest.mark.parametrize(
    ("labels", "given", "words"),
    [
        (
            ["LABEL_0", "LABEL_1"],
            None,
            r"must have names of emotions; got LABEL_0, LABEL_1.*labels_map=\{LABEL_0: angry, ",
        ),
        (["angry", "sad"], {"anger": "angry"}, "labels_map must be of the labels angry, sad; got anger"),
        (
            ["angry", "sad"],
            {"angry": "furious"},
            "labels_map must map to angry, happy, neutral, sad, or null; got furious",
        ),
        (["angry", "calm"], None, "must have labels for two of the classes .* which are angry"),
        (["disgust", "calm"], None, "which are none of them"),
    ],
)
def test_labels_that_cannot_be_used(labels: list[str], given: dict[str, str] | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        classes_of(labels, FOUR, given)


def test_probabilities_are_those_of_the_labels_added_up_and_shared() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4)) * 3
    p = class_probabilities(logits, ("angry", "sad", "angry", None), FOUR)
    whole = softmax(logits, axis=1)
    kept = whole[:, :3].sum(axis=1)
    np.testing.assert_allclose(p[:, 0], (whole[:, 0] + whole[:, 2]) / kept, rtol=1e-12)
    np.testing.assert_allclose(p[:, 3], whole[:, 1] / kept, rtol=1e-12)
    np.testing.assert_array_equal(p[:, [1, 2]], 0)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    extreme = class_probabilities(np.array([[-2000.0, -2001.0, 0.0, 3000.0]]), ("angry", "sad", None, None), FOUR)
    np.testing.assert_allclose(extreme[0, 0], 1 / (1 + np.exp(-1)), rtol=1e-12)


def test_a_card_says_what_was_seen_and_the_user_knows_better() -> None:
    model = "superb/wav2vec2-base-superb-er"
    seen = seen_by(model, ["iemocap", "ravdess", "mine"], own=["mine"])
    assert {name: one.answer for name, one in seen.items()} == {"iemocap": "yes", "ravdess": "no", "mine": "unknown"}
    assert seen["iemocap"].source.endswith(model)
    assert seen_stamps(seen) == ["seen in training: iemocap", "perhaps seen in training: mine"]
    assert seen_by("somebody/else", ["ravdess"])["ravdess"].answer == "unknown"
    stated = seen_by("somebody/else", ["ravdess", "tess"], {"ravdess": False, "tess": "yes"})
    assert [one.answer for one in stated.values()] == ["no", "yes"]
    assert {one.source for one in stated.values()} == {"stated with the command"}
    with pytest.raises(ConfigError, match="seen must be of the corpora ravdess; got savee"):
        seen_by(model, ["ravdess"], {"savee": "no"})
    with pytest.raises(ConfigError, match="seen must be yes, no, unknown for each corpus; got 'perhaps'"):
        seen_by(model, ["ravdess"], {"ravdess": "perhaps"})


def test_table_names_corpora_of_the_package_with_a_source() -> None:
    from pathlib import Path

    known = {file.stem for file in Path(conf_dir(), "data").glob("*.yaml")}
    for model, entry in _table().items():
        assert set(entry) == {"trained_on", "complete", "source"}
        assert set(entry["trained_on"]) <= known
        assert entry["source"].lower() == f"https://huggingface.co/{model}"
