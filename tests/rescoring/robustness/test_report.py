"""The table fits a terminal; the picture has a panel a family, and tells runs without intervals too."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from rich.console import Console

from ser.report.format import MINUS
from ser.rescoring.robustness.conditions import conditions_of
from ser.rescoring.robustness.report import conditions_table, curves
from tests.rescoring.robustness.conftest import shipped


def interval(low: float | None, high: float | None, caution: str | None = None) -> dict[str, Any]:
    return {"low": low, "high": high, "level": 0.95, "speakers": 5, "caution": caution}


def measured(effects: dict[str, Any] | None = None, *, intervals: bool = True) -> dict[str, Any]:
    """Made-up numbers for every condition of the shipped suite, or of some effects."""
    random = np.random.default_rng(0)
    rows = []
    for condition in conditions_of(effects or shipped()["effects"]):
        uar = float(random.uniform(0.2, 0.6))
        about = {k: getattr(condition.how, k) for k in ("family", "quantity", "unit")}
        ends = interval(uar - 0.05, uar + 0.05) if intervals else interval(None, None)
        about |= {"condition": condition.name, "effect": condition.effect, "level": condition.level}
        change = interval(uar - 0.66, uar - 0.54) if intervals else interval(None, None)
        rows.append({**about, "uar": uar, "uar_interval": ends, "change": uar - 0.6, "change_interval": change})
    clean = {"uar": 0.6, "uar_interval": interval(0.55, 0.65, "5 speakers are too few: the interval is indicative")}
    about = {"n_utterances": 300, "n_speakers": 5, "classes": ["angry", "sad", "happy"]}
    return {**about, "clean": clean, "conditions": rows}


def printed(*arguments: Any) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(conditions_table(*arguments))
    return capture.get()


def test_table_fits_80_columns() -> None:
    numbers = measured()
    text = printed(numbers, "ravdess, luna5: robustness", ("synthetic speech",))
    assert max(map(len, text.splitlines())) <= 80
    assert "SYNTHETIC SPEECH" in text
    assert "too few" in " ".join(text.split())
    for row in numbers["conditions"]:
        (line,) = [line for line in text.splitlines() if line.strip().startswith(f"{row['condition']} ")]
        assert f"{100 * row['uar']:.1f} %" in line
        assert f"{100 * row['change']:+.1f}".replace("-", MINUS) in line
        assert f"{100 * row['change_interval']['high']:+.1f}]".replace("-", MINUS) in line


def test_table_of_one_speaker_has_no_intervals() -> None:
    assert printed(measured(intervals=False), "x").count("none") == 70


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is saved."""
    saved: list[Figure] = []
    savefig = Figure.savefig

    def kept(figure: Figure, *arguments: Any, **options: Any) -> None:
        saved.append(figure)
        savefig(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", kept)
    return saved


@pytest.mark.parametrize("intervals", [True, False])
def test_picture_has_one_panel_per_family(figures: list[Figure], tmp_path: Path, intervals: bool) -> None:
    shown = (
        shipped()["effects"] if intervals else {name: shipped()["effects"][name] for name in ("white", "pink", "gsm")}
    )
    numbers = measured(shown, intervals=intervals)
    curves(numbers, tmp_path / "curves.png", "ravdess, luna5: robustness", stamps=("synthetic speech",))
    (figure,) = figures
    panels = [axes for axes in figure.axes if axes.get_visible()]
    families = list(dict.fromkeys(row["family"] for row in numbers["conditions"]))
    titles = [axes.get_title(loc="left") for axes in panels]
    assert titles == [family if intervals or family != "codec" else "codec: gsm" for family in families]
    lines = [line for line in panels[0].lines if line.get_label() not in ("clean", "chance")]
    assert [line.get_label() for line in lines] == [name for name in ("white", "pink", "babble") if name in shown]
    white = [100 * row["uar"] for row in numbers["conditions"] if row["effect"] == "white"]
    np.testing.assert_allclose(np.asarray(lines[0].get_ydata(), dtype=float), white)
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ["20", "10", "5", "0"]
    assert any("SYNTHETIC SPEECH" in text.get_text() for text in figure.texts)


@pytest.mark.parametrize("effects", [None, {"white": shipped()["effects"]["white"]}], ids=["all", "one"])
def test_texts_do_not_overlap(figures: list[Figure], tmp_path: Path, effects: dict[str, Any] | None) -> None:
    curves(measured(effects), tmp_path / "curves.png", "ravdess, luna5: robustness", stamps=("synthetic speech",))
    (figure,) = figures
    panels = [axes for axes in figure.axes if axes.get_visible()]
    artists: list[Artist] = [*figure.texts, *figure.legends, *(axes.xaxis.label for axes in panels)]
    artists += [axes._left_title for axes in panels]  # type: ignore[attr-defined]  # it has no public name
    artists += [legend for axes in panels if (legend := axes.get_legend())]
    boxes = [artist.get_window_extent() for artist in artists]
    assert [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])] == []
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_single_family_is_drawn(figures: list[Figure], tmp_path: Path) -> None:
    gain = {"gain": {"_target_": "ser.rescoring.robustness.channel.Gain", "levels": [-10]}}
    curves(measured(gain), tmp_path / "one.png", "x")
    assert len(figures[0].axes) == 1
