"""Tables for the terminal: every number is there, nothing is cut at 80 columns, and a stamp cannot be overlooked."""

import re

import pytest
from rich.console import Console

from ser.evaluation.profile import profile
from ser.evaluation.summary import summarise
from ser.report.highlights import highlights, highlights_table
from ser.report.tables import confusion_table, folds_table, results_table


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
    assert f"{100 * summary['uar']:.1f} %   {ends}  95 % over 12 speakers" in text
    assert _row(text, "accuracy")[1] == f"{100 * summary['accuracy']:.1f}"
    assert _row(text, "macro F1")[2] == f"{100 * summary['macro_f1']:.1f}"
    assert _row(text, "cross-entropy")[1:] == [f"{summary['cross_entropy']:.3f}", "nats"]
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
        assert text.count(stamp) == 2
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
    assert len(expected) == 5  # calibration, risk, sets, worst speaker, gap by sex
    for name, value, meaning in expected:
        assert f"{name}: {value} {meaning}" in joined
    words = {word for row in expected for part in row for word in part.split()}
    assert {word.rstrip(":") for word in text.split()} <= {w.rstrip(":") for w in words} | {"Beyond", "the", "scores"}


def test_scores_are_explained_below_the_table(summary) -> None:
    text = " ".join(_text(results_table(summary, "cnn", ("synthetic speech",))).split())
    assert "UAR: unweighted average recall, the mean recall of the classes; chance: 12.5 %." in text
    assert "Stamp, in capitals: what a reader of this result must not overlook." in text
    assert "Stamp" not in _text(results_table(summary, "cnn"))
    assert "A fold is one division of the speakers" in _text(folds_table(summary))


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_text_is_truncated(summary, width: int) -> None:
    stamps = ("not speaker-independent", "synthetic speech")
    text = _text(results_table(summary, "transformer on crema and ravdess", stamps), width)
    text += _text(folds_table(summary), width) + _text(confusion_table(summary), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
