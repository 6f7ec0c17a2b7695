"""Tables for the terminal: every number is there, nothing is cut at 80 columns, and a stamp cannot be overlooked."""

import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from ser.evaluation.profile import profile
from ser.evaluation.summary import summarise
from ser.report.highlights import highlights, highlights_table
from ser.report.tables import confusion_table, folds_table, results_table, run_notes


def _text(renderable, width: int = 80) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as printed:
        console.print(renderable)
    return printed.get()


def _row(text: str, first: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if re.match(rf"\s*{first}\b", line)]
    return line.split()


def test_every_score_is_printed(summary) -> None:
    text = _text(results_table(summary, "cnn on ravdess"))
    interval = summary["uar_interval"]
    ends = f"[{100 * interval['low']:.1f}, {100 * interval['high']:.1f}]"
    assert f"{100 * summary['uar']:.1f} %   {ends}  95 % interval over 12 speakers" in text
    assert _row(text, "accuracy")[1] == f"{100 * summary['accuracy']:.1f}"
    assert _row(text, "macro F1")[2] == f"{100 * summary['macro_f1']:.1f}"
    assert _row(text, "cross-entropy")[1:3] == [f"{summary['cross_entropy']:.3f}", "nats"]
    for name, key in (("accuracy", "accuracy"), ("macro F1", "macro_f1")):
        low, high = (100 * summary[f"{key}_interval"][end] for end in ("low", "high"))
        assert _row(text, name)[-2:] == [f"[{low:.1f},", f"{high:.1f}]"]
    low, high = (summary["cross_entropy_interval"][end] for end in ("low", "high"))
    assert _row(text, "cross-entropy")[-2:] == [f"[{low:.3f},", f"{high:.3f}]"]
    assert "192 utterances, 12 speakers, 3 folds" in text


def test_every_class_is_printed_in_the_order_of_the_logits(summary) -> None:
    text = _text(results_table(summary, "cnn on ravdess"))
    for name, scores in summary["per_class"].items():
        values = [v for v in _row(text, name)[1:] if v != "%"]
        assert values == [*(f"{100 * scores[s]:.1f}" for s in ("recall", "precision", "f1")), str(scores["support"])]
    positions = [text.index(f"  {name} ") for name in summary["classes"]]
    assert positions == sorted(positions)


def test_stamp_is_above_the_scores_and_in_their_title(summary) -> None:
    text = _text(results_table(summary, "cnn on ravdess", ("not speaker-independent", "synthetic speech")))
    for stamp in ("NOT SPEAKER-INDEPENDENT", "SYNTHETIC SPEECH"):
        assert text.count(stamp) == 3  # the third explains it
        assert text.index(stamp) < text.index("cnn on ravdess")
    assert text.startswith("┏")
    assert "┏" not in _text(results_table(summary, "cnn on ravdess"))


def test_notes_and_the_caution_are_printed(table) -> None:
    few = summarise(table[table["fold"] == 0])
    text = _text(results_table(few, "cnn", notes=("merged: calm into neutral",)))
    assert "Caution: 4 speakers are too few: the interval is indicative." in text
    assert text.rstrip().endswith("merged: calm into neutral")


def test_undefined_scores_are_not_numbers(table) -> None:
    one = summarise(table[(table["speaker"] == "ravdess/03") & (table["target"] != "calm")])
    text = _text(results_table(one, "cnn"))
    assert _row(text, "calm")[1] == "n/a"
    assert "no interval" in text
    assert "Caution: 1 speaker: no interval" in text
    assert "nan" not in text.lower()
    assert _row(_text(folds_table(one)), "sd")[1] == "n/a"


def test_folds_are_printed_with_mean_and_deviation(summary) -> None:
    text = _text(folds_table(summary))
    for fold in summary["folds"]["each"]:
        scores = [v for s in ("uar", "accuracy", "macro_f1") for v in (f"{100 * fold[s]:.1f}", "%")]
        assert _row(text, str(fold["fold"])) == [str(fold["fold"]), "64", "4", *scores]
    assert _row(text, "mean")[1] == f"{100 * summary['folds']['uar_mean']:.1f}"
    assert _row(text, "sd")[1] == f"{100 * summary['folds']['uar_sd']:.1f}"


def test_each_number_beyond_the_scores_is_explained(table) -> None:
    found = profile(table, table)
    text = _text(highlights_table(found))
    joined = " ".join(text.split())
    expected = list(highlights(found))
    assert len(expected) == 6  # calibration, Brier score, risk, sets, worst speaker, gap by sex
    for key, scores in (("ece", found["calibration"]), ("coverage", found["conformal"])):
        low, high = (100 * scores[f"{key}_interval"][end] for end in ("low", "high"))
        assert f"{100 * scores[key]:.1f} % [{low:.1f}, {high:.1f}]" in joined
    for name, value, meaning in expected:
        assert f"{name}: {value} {meaning}" in joined
    heading = {"Beyond", "the", "scores", "[95", "%", "intervals", "over", "speakers]"}
    words = {word for row in expected for part in row for word in part.split()}
    assert {word.rstrip(":") for word in text.split()} <= {w.rstrip(":") for w in words} | heading


def test_scores_are_explained_below_the_table(summary) -> None:
    text = " ".join(_text(results_table(summary, "cnn", ("synthetic speech",))).split())
    assert "UAR: unweighted average recall, the mean recall of the classes; chance: 12.5 %." in text
    assert "guessing gives 2.079 nats." in text
    assert "Stamp SYNTHETIC SPEECH: The speech was generated by a program" in text
    assert "Stamp" not in _text(results_table(summary, "cnn"))
    assert "Mean and standard deviation (sd) over folds." in " ".join(_text(folds_table(summary)).split())


def test_a_result_that_a_guess_reaches_says_so() -> None:
    guesses = [{"name": "sentence", "uar": 0.6}, {"name": "majority class", "uar": 0.2}]
    about = {"protocol": "loso", "labels": "native", "without_listening": guesses}
    *_, all_guesses, verdict = run_notes(about, {"uar": 0.7, "uar_interval": {"low": 0.6}})
    assert all_guesses.endswith("over all folds: sentence 60.0 %, majority class 20.0 %.")
    assert verdict == "Not clearly better than a guess from the sentence alone, without audio: UAR 60.0 %."
    assert run_notes(about, {"uar": 0.7, "uar_interval": {"low": 0.61}})[-1] == all_guesses
    assert run_notes(about, {"uar": 0.7, "uar_interval": {"low": None}})[-1] == all_guesses
    assert run_notes(about, {"uar": 0.5, "uar_interval": {"low": None}})[-1] == verdict


def test_the_protocol_of_a_run_is_explained_below_the_table() -> None:
    protocol, labels = run_notes({"protocol": "loso", "labels": "native"}, {})
    assert protocol.startswith(
        "Protocol loso: Leave one speaker out: one fold for each speaker. A fold is one division"
    )
    assert labels == "Labels: native."
    assert "Protocol mine: not one of the package." in run_notes({"protocol": "mine", "labels": "native"}, {})[0]


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_text_is_truncated(summary, width: int) -> None:
    stamps = ("not speaker-independent", "synthetic speech")
    text = _text(results_table(summary, "transformer on crema and ravdess", stamps), width)
    text += _text(folds_table(summary), width) + _text(confusion_table(summary), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_numbers_keep_their_names_beside_wide_intervals() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(5000, 1000, (40, 2))
    about = {"utterance": [f"x/{i}" for i in range(40)], "corpus": "x", "sex": None, "sentence": None, "fold": 0}
    table = pd.DataFrame(about).assign(speaker=[f"x/{i % 4}" for i in range(40)])
    for prefix, values in (("target", targets), ("predicted", targets + rng.normal(0, 2000, (40, 2)))):
        table = table.assign(
            **{f"{prefix}_{name}": v for name, v in zip(("arousal", "valence"), values.T, strict=True)}
        )
    columns = ["utterance", "corpus", "speaker", "sex", "sentence", "fold"]
    table = table[[*columns, *(c for c in table if c not in columns)]]
    text = _text(results_table(summarise(table), "bilstm on x"))
    for name in ("arousal", "valence"):
        assert _row(text, name)[0] == name
    assert max(map(len, text.splitlines())) <= 80


def test_stand_ins_are_not_called_speakers(summary) -> None:
    stamps = ["speakers unknown (split by folder)"]
    text = _text(results_table(summary, "cnn on x", stamps)) + _text(folds_table(summary, stamps))
    scores = text[text.index("cnn on x") : text.index("Stamp ")]
    assert f"{summary['n_speakers']} folders" in scores
    assert "speakers" not in scores
    assert "folders" in text[text.index("By fold") :]
