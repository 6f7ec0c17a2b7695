"""Pictures: their size, that something is in them, what they say, and that nothing else changes."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from ser.errors import RunError
from ser.evaluation.predictions import COLUMNS
from ser.evaluation.summary import summarise
from ser.report import plots


def _pixels(path: Path) -> np.ndarray:
    """``(row, column, colour)`` in [0, 1]."""
    return pyplot.imread(path)[..., :3]


def _red(image: np.ndarray) -> float:
    """The share of the picture in the colour of the stamp."""
    return float((np.abs(image - np.array([0xB3, 0x26, 0x1E]) / 255) < 0.02).all(axis=-1).mean())


def _texts(path: Path) -> str:
    """What an SVG says, where text is written as text."""
    return path.read_text(encoding="utf-8")


@pytest.fixture
def history() -> pd.DataFrame:
    """Training and development in rows of their own, as a logger writes them."""
    epoch = np.arange(20)
    train = pd.DataFrame({"epoch": epoch, "train_loss": 2 * 0.9**epoch, "lr": 1e-3 * 0.95**epoch})
    dev = pd.DataFrame({"epoch": epoch, "dev_loss": 1 + 0.9**epoch, "dev_uar": 0.7 - 0.5 * 0.8**epoch})
    return pd.concat([train, dev]).sort_values("epoch", ignore_index=True)


@pytest.mark.parametrize("stamps", [(), ("synthetic speech", "not speaker-independent")])
def test_confusion_matrix_of_eight_classes_is_drawn(summary, tmp_path: Path, stamps: tuple[str, ...]) -> None:
    path = tmp_path / "figures" / "confusion.png"
    plots.confusion_matrix(summary, path, "cnn on ravdess", stamps=stamps)
    image = _pixels(path)
    assert image.shape[0] == pytest.approx(150 * (0.78 * 8 + 2.5 + 0.5 * bool(stamps)), abs=2)
    assert image.shape[1] == pytest.approx(150 * (0.78 * 8 + 3.1), abs=2)
    assert image.std() > 0.1
    assert (_red(image) > 0.002) == bool(stamps)
    assert [file.name for file in path.parent.iterdir()] == ["confusion.png"]


def test_diagonal_is_dark_where_recall_is_high(summary, tmp_path: Path) -> None:
    right = {**summary, "confusion": (10 * np.eye(8, dtype=int)).tolist()}
    wrong = {**summary, "confusion": (10 * np.roll(np.eye(8, dtype=int), 4, axis=1)).tolist()}
    images = []
    for name, drawn in (("right", right), ("wrong", wrong)):
        plots.confusion_matrix(drawn, tmp_path / f"{name}.png", "a")
        images.append(_pixels(tmp_path / f"{name}.png"))
    dark = [(image.sum(axis=-1) < 1.0) for image in images]
    assert dark[0].sum() == pytest.approx(dark[1].sum(), rel=0.05)
    assert (dark[0] & dark[1]).sum() < 0.3 * dark[0].sum()


def test_table_and_its_summary_give_the_same_picture(table, summary, tmp_path: Path) -> None:
    plots.confusion_matrix(table, tmp_path / "table.png", "svm")
    plots.confusion_matrix(summary, tmp_path / "summary.png", "svm")
    np.testing.assert_array_equal(_pixels(tmp_path / "table.png"), _pixels(tmp_path / "summary.png"))


def test_scatter_has_a_panel_and_the_ccc_of_each_number(table, tmp_path: Path) -> None:
    names = ["arousal", "valence", "dominance", "liking"]
    rng = np.random.default_rng(0)
    kept = table[[c for c in table if not c.startswith("p_") and c != "target"]]
    numbers = {f"target_{name}": rng.normal(size=len(table)) for name in names}
    numbers |= {f"predicted_{name}": numbers[f"target_{name}"] * 0.5 for name in names}
    scored = kept.assign(**numbers)
    with mpl.rc_context({"svg.fonttype": "none"}):
        plots.scatter(scored, tmp_path / "scatter.svg", "cnn on x", stamps=("synthetic speech",))
    text = _texts(tmp_path / "scatter.svg")
    for name, scores in summarise(scored)["per_dimension"].items():
        assert name in text
        assert f"CCC {scores['ccc']:.3f} [{scores['ccc_interval']['low']:.3f}, " in text
    assert text.count(">predicted<") == text.count(">target<") == 4
    assert "SYNTHETIC SPEECH" in text


def test_curves_of_numbers_show_the_dev_ccc(tmp_path: Path) -> None:
    history = pd.DataFrame({"epoch": [0, 1], "train_loss": [1.0, 0.8], "dev_loss": [1.0, 0.9], "dev_ccc": [0.1, 0.25]})
    with mpl.rc_context({"svg.fonttype": "none"}):
        plots.training_curves(history, 1, tmp_path / "curves.svg")
    text = _texts(tmp_path / "curves.svg")
    assert "kept: epoch 2, development CCC 0.250" in text
    assert "development (mean squared error)" in text
    assert "UAR" not in text


def test_picture_shows_uar_with_interval_and_counts_with_percentages(summary, tmp_path: Path) -> None:
    path = tmp_path / "confusion.svg"
    with mpl.rc_context({"svg.fonttype": "none"}):
        plots.confusion_matrix(summary, path, "cnn on ravdess", stamps=("synthetic speech",))
    text = _texts(path)
    interval = summary["uar_interval"]
    uar, low, high = (f"{100 * v:.1f}" for v in (summary["uar"], interval["low"], interval["high"]))
    assert f"UAR {uar} % [{low}, {high}]" in text
    assert all(word in text for word in (*summary["classes"], "cnn on ravdess", "SYNTHETIC SPEECH", "predicted"))
    assert f"{100 * summary['confusion'][0][0] / 24:.0f} %" in text


def test_class_without_utterances_is_marked_and_one_speaker_has_no_interval(table, tmp_path: Path) -> None:
    path = tmp_path / "confusion.svg"
    one = table[(table["speaker"] == "ravdess/03") & (table["target"] != "calm")]
    with mpl.rc_context({"svg.fonttype": "none"}):
        plots.confusion_matrix(one, path, "cnn")
    assert "(none)" in _texts(path)
    assert "nan" not in _texts(path)


def test_confusion_matrix_of_two_classes_is_drawn(tmp_path: Path) -> None:
    row = dict.fromkeys(COLUMNS, "x") | {"fold": 0, "target": "sad", "p_angry": 0.2, "p_sad": 0.8}
    plots.confusion_matrix(pd.DataFrame([row]), tmp_path / "two.png", "a title that is much wider than two classes are")
    assert _pixels(tmp_path / "two.png").std() > 0.1


@pytest.mark.parametrize("stamps", [(), ("synthetic speech", "not speaker-independent")])
def test_training_curves_are_drawn(history: pd.DataFrame, tmp_path: Path, stamps: tuple[str, ...]) -> None:
    path = tmp_path / "training.png"
    plots.training_curves(history, 12, path, stamps=stamps)
    image = _pixels(path)
    assert image.shape[1] == 1080
    assert image.std() > 0.05
    assert (_red(image) > 0.002) == bool(stamps)


def test_kept_epoch_and_its_uar_are_shown(history: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "training.svg"
    with mpl.rc_context({"svg.fonttype": "none"}):
        plots.training_curves(history, 19, path)
    assert f"kept: epoch 20, development UAR {100 * (0.7 - 0.5 * 0.8**19):.1f} %" in _texts(path)


def test_panel_without_values_is_omitted(history: pd.DataFrame, tmp_path: Path) -> None:
    plots.training_curves(history, None, tmp_path / "all.png")
    plots.training_curves(history.assign(lr=np.nan), None, tmp_path / "no_lr.png")
    plots.training_curves(history[["epoch", "train_loss"]], None, tmp_path / "loss.png")
    heights = [_pixels(tmp_path / f"{name}.png").shape[0] for name in ("all", "no_lr", "loss")]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 3


def test_single_epoch_is_drawn_at_an_integer(history: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "one.svg"
    with mpl.rc_context({"svg.fonttype": "none"}):
        plots.training_curves(history[history["epoch"] == 0], 0, path)
    ticks = _texts(path).split('id="matplotlib.axis')  # of x: every other one
    assert all("0.2<" not in axis for axis in ticks[1::2])


def test_history_without_epochs_or_values_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="must have a column epoch; got step"):
        plots.training_curves(pd.DataFrame({"step": [1]}), None, tmp_path / "a.png")
    with pytest.raises(RunError, match="must have values of"):
        plots.training_curves(pd.DataFrame({"epoch": [1], "dev_uar": [np.nan]}), None, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_drawing_leaves_matplotlib_unchanged(summary, history, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    plots.confusion_matrix(summary, tmp_path / "a.png", "a")
    plots.training_curves(history, 3, tmp_path / "b.png")
    assert dict(mpl.rcParams) == before
    assert pyplot.get_fignums() == []


def test_failed_picture_leaves_no_file(summary, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Format 'nope' is not supported"):
        plots.confusion_matrix(summary, tmp_path / "a.nope", "a")
    assert not list(tmp_path.iterdir())
