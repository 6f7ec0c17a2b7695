"""Result cards state the facts of a run's files, in JSON and on a self-contained page."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ser.corpora.demo import Demo
from ser.errors import RunError
from ser.evaluation import predictions
from ser.report.format import percent
from ser.report.highlights import highlights
from ser.runs import card
from ser.runs.card_page import limits
from ser.runs.folder import RunFolder
from ser.runs.results import write_results
from ser.runtime.files import write_json
from tests.runs.conftest import LEFT_OUT, read


class Page(HTMLParser):
    """What a browser would show and fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words, self.fetched, self.tags = "", list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [
            value or "" for name, value in attrs if name in ("src", "srcset") or (tag, name) == ("link", "href")
        ]

    def handle_data(self, data: str) -> None:
        self.words += data + " "


def test_card_has_the_numbers_of_the_metrics_and_their_origin(finished: Path, finished_one: Path) -> None:
    for folder in (finished, finished_one):
        made, numbers = read(folder), read(folder, "metrics.json")
        about = numbers.pop("run")
        assert made["numbers"] == numbers
        assert (made["stamps"], made["fingerprint"], made["labels"]) == (
            ["synthetic speech"],
            about["fingerprint"],
            about["labels"],
        )
        (corpus,) = made["corpora"]
        assert (corpus["title"], corpus["licence"]) == (Demo.title, Demo.licence)
        assert f"<b>{Demo.title}</b> (English, synthetic)" in (folder / "card.html").read_text()
        assert made["environments"][0]["versions"]["numpy"] == np.__version__
        assert made["config"]["model"]["_target_"] == "ser.models.cnn.CNN"
        assert made["profile"]["calibration"]["ece"] == read(folder, "profile.json")["calibration"]["ece"]
    assert read(finished)["title"] == "CNN on demo, speaker_cv (changed), all 3 folds"
    assert list(read(finished)["split"]) == ["0", "1", "2"]
    assert read(finished_one)["title"] == "CNN on demo, speaker_cv (changed), fold 0"
    assert read(finished_one)["split"] == {"0": read(finished_one, "split.json")["folds"][0]["hash"]}


def test_hashes_are_those_of_the_files(finished: Path, finished_one: Path) -> None:
    for folder, more in ((finished, {"fold_2/checkpoints/best.ckpt"}), (finished_one, {"fold_0/metrics.json"})):
        files = read(folder)["files"]
        assert files == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
        assert files.keys() >= {"predictions.parquet", "dev_predictions.parquet", "metrics.json", "split.json"} | more


def test_card_has_no_paths(finished: Path) -> None:
    assert read(finished)["left_out"] == [{"utterance": "demo/x", "kind": "silent", "detail": "no sound"}]
    assert "paths" not in read(finished)["config"]


def test_same_run_has_the_same_card(run: Path) -> None:
    before = read(run)
    again = card.write_card(RunFolder(run), [LEFT_OUT])
    assert again == read(run)
    assert {**again, "when": before["when"], "files": None} == {**before, "files": None}
    text = (run / "card.json").read_text()
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def test_card_states_the_library_and_licence_of_features(run: Path) -> None:
    features = {"library": "opensmile 2.6.0", "licence": "research and other non-commercial use only"}
    for folder in (run, *run.glob("fold_*")):
        numbers = read(folder, "metrics.json")
        write_json({**numbers, "run": {**numbers["run"], "features": features}}, folder / "metrics.json")
    assert card.write_card(RunFolder(run), [LEFT_OUT])["training"]["features"] == features
    words = " ".join(Page((run / "card.html").read_text()).words.split())
    assert "opensmile 2.6.0; licence: research and other non-commercial use only" in words


def test_page_is_self_contained(finished: Path, finished_one: Path) -> None:
    for folder in (finished, finished_one):
        page = Page((folder / "card.html").read_text())
        assert page.fetched
        assert all(source.startswith("data:image/png;base64,") for source in page.fetched)
        assert not {"script", "iframe", "link", "object"} & set(page.tags)
        assert "url(" not in (folder / "card.html").read_text()


def test_page_states_result_cautions_and_commands(finished: Path) -> None:
    words = " ".join(Page((finished / "card.html").read_text()).words.split())
    numbers = read(finished)["numbers"]
    low, high = (numbers["uar_interval"][end] for end in ("low", "high"))
    dev = [f"{100 * fold.about['dev_uar']:.1f}" for fold in RunFolder(finished).folds]
    for said in (
        "synthetic speech",
        f"{100 * numbers['uar']:.1f} % UAR",
        f"95 % interval {100 * low:.1f} to {100 * high:.1f} %",
        "Caution: 6 speakers are too few",
        "Guessing gives 16.7 %",
        "Nothing about emotions in people.",
        "All folds: 100 % of the test clips have a sentence that is also in train",
        f"fold epochs kept epoch dev UAR 0 2 2 {dev[0]} % 1 3 2 {dev[1]} % 2 4 2 {dev[2]} %",
        "Unweighted average recall: the share",
        "Each such division is a fold.",
        "Dev UAR: the UAR of the dev speakers",
        "Stamp: a limit of the data",
        "demo/x (silent)",
        "python -m ser.train",
        "python -m ser.verify run",
    ):
        assert said in words, said


def test_stamps_cannot_become_markup(run: Path) -> None:
    metrics = read(run, "metrics.json")
    metrics["run"]["stamps"] = ["<script>alert(1)</script>"]
    write_json(metrics, run / "metrics.json")
    card.write_card(RunFolder(run))
    page = Page((run / "card.html").read_text())
    assert "<script>alert(1)</script>" in page.words
    assert "script" not in page.tags


def test_page_names_missing_parts_of_a_run(finished: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("metrics.json", "predictions.parquet"):
        shutil.copy(finished / "fold_0" / name, alone / name)
    made = card.write_card(RunFolder(alone))
    assert [made[key] for key in ("audit", "config", "left_out", "profile")] == [None] * 4
    assert set(made["files"]) == {"card.html", "metrics.json", "predictions.parquet"}
    words = Page((alone / "card.html").read_text()).words
    for said in (
        "The run has no audit.",
        "The command was not recorded.",
        "not recorded",
        "demo, speaker_cv (changed), fold 0",
    ):
        assert said in words
    assert "Beyond the scores" not in words


def test_page_of_one_speaker_and_an_untested_class(one: Path) -> None:
    part = one / "fold_0"
    table = predictions.read_predictions(part / "predictions.parquet")
    table = table[(table["speaker"] == table["speaker"][0]) & (table["target"] != "sad")].reset_index(drop=True)
    predictions.write_predictions(table, part / "predictions.parquet")
    write_results(RunFolder(one), [])
    words = " ".join(Page((one / "card.html").read_text()).words.split())
    assert read(one)["stamps"] == ["synthetic speech", "not tested: sad"]
    assert "Caution: 1 speaker: no interval" in words
    assert re.search(r"sad n/a .* 0 ", words)
    assert "paired test" not in words


def test_folds_of_two_devices_name_both(run: Path) -> None:
    assert len(read(run)["environments"]) == 1
    other = read(run / "fold_2", "environment.json") | {"device": "cuda:0"}
    write_json(other, run / "fold_2" / "environment.json")
    assert [e["device"] for e in card.write_card(RunFolder(run))["environments"]] == ["cpu", "cuda:0"]


def test_unfinished_run_has_no_card(run: Path) -> None:
    for name in ("metrics.json", "predictions.parquet"):
        (run / name).unlink()
        with pytest.raises(RunError, match=name):
            card.write_card(RunFolder(run))


def test_failed_write_keeps_the_old_card(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Iterator[str]:
        raise OSError("full disk")

    before = (run / "card.json").read_bytes()
    monkeypatch.setattr(card, "_as_json", fail)
    with pytest.raises(OSError, match="full disk"):
        card.write_card(RunFolder(run))
    assert (run / "card.json").read_bytes() == before
    assert not list(run.glob(".card*"))


@pytest.mark.parametrize(
    ("stamps", "said", "unsaid"),
    [
        ([], "what people feel", "trained on the speakers"),
        (["synthetic speech"], "The speech is synthetic", "what people feel"),
        (
            ["not speaker-independent (100 % of test clips)"],
            "trained on the speakers that it was tested on",
            "synthetic",
        ),
    ],
)
def test_limits_depend_on_the_stamps(finished: Path, stamps: list[str], said: str, unsaid: str) -> None:
    text = " ".join(limits(read(finished) | {"stamps": stamps}))
    assert said in text
    assert unsaid not in text


def test_highlights_are_those_of_the_profile(finished: Path) -> None:
    profile = read(finished, "profile.json")
    shown = {name: value for name, value, _ in highlights(profile)}
    assert shown == {name: value for name, value, _ in highlights(read(finished)["profile"])}
    assert shown["Calibration error (ECE)"].startswith(percent(profile["calibration"]["ece"]) + " [")
    assert shown["Worst speaker"].startswith(profile["fairness"]["speakers"]["worst"]["speaker"])
    assert set(shown) == {
        "Calibration error (ECE)",
        "Brier score",
        "Risk over coverage (AURC)",
        "Sets that hold the answer 90.0 % of the time",
        "Worst speaker",
        "Gap by sex",
    }
    assert list(highlights({})) == []


def test_sets_from_few_dev_speakers_carry_a_caution(finished: Path) -> None:
    caution = "2 dev speakers are too few"
    assert caution in (finished / "card.html").read_text()
    profile = read(finished, "profile.json")
    assert [
        caution in meaning for name, _, meaning in highlights(profile, dev_speakers=2) if name.startswith("Sets")
    ] == [True]
    assert not any("too few" in meaning for *_, meaning in highlights(profile, dev_speakers=10))
