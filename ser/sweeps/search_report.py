"""What a search found: the trials as a table, pictures of them, and a page with both."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ser.report.drawing import drawing
from ser.report.format import percent
from ser.report.html import data_uri, template_environment
from ser.runtime.files import replacing

if TYPE_CHECKING:
    import optuna
    from rich.table import Table

TEMPLATE = "search.html.j2"
TAG = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
GREY = "#8a9099"
LABELS = {"dev_uar": "UAR of dev speakers (%)", "parameters": "parameters", "latency": "ms for 3 s of speech"}
WIDE = 20
"""A range whose ends are further apart than this factor is drawn by its logarithm."""
FEW = 6
"""Fewer different values than these stand at equal distances."""
SHOWN = 10
"""Trials in the table on the terminal."""
PICTURES = {
    "history": "Dev UAR, trial by trial",
    "importances": "How much of its variance each setting explains (fANOVA; few trials say little)",
    "parallel": "Every trial as a line through its settings; the darker, the better",
    "front": "Trials that no other beats in all objectives",
}


def trials_of(study: "optuna.Study", objectives: Sequence[str]) -> pd.DataFrame:
    """One row a trial: ``trial``, ``state``, the objectives, then its settings, best first."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        values = dict(zip(objectives, trial.values or [], strict=False))  # noqa: PD011
        rows.append({"trial": trial.number, "state": trial.state.name.lower(), **values, **trial.params})
    table = pd.DataFrame(rows)
    first = objectives[0]
    if first not in table:
        return table
    return table.sort_values(first, ascending=first != "dev_uar", kind="stable", na_position="last")


def table(trials: pd.DataFrame, objectives: Sequence[str], title: str) -> "Table":
    """The best trials for the terminal."""
    from rich import box
    from rich.table import Table

    laid = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    known = [name for name in ("trial", "state", *objectives) if name in trials]
    for column in known:
        laid.add_column(column, justify="right", no_wrap=True)
    laid.add_column("settings")
    for _, row in trials.head(SHOWN).iterrows():
        settings = [f"{name} {_shown(str(name), value)}" for name, value in row.items() if name not in known]
        laid.add_row(*(_shown(name, row[name]) for name in known), ", ".join(settings))
    if len(trials) > SHOWN:
        laid.caption = f"The best {SHOWN} of {len(trials)} trials."
    return laid


def draw_search(
    study: "optuna.Study", trials: pd.DataFrame, objectives: Sequence[str], folder: Path
) -> dict[str, Path]:
    """Draw what there are enough trials for; the files, by the names of `PICTURES`."""
    first = objectives[0]
    complete = trials[trials["state"] == "complete"]
    drawn: dict[str, Callable[[Path], None]] = {"history": lambda file: _history(complete, first, file)}
    if complete[first].max() > complete[first].min():  # of trials that are all alike nothing is more important
        drawn["importances"] = lambda file: _importances(study, file)
    if len(complete) > 1:
        drawn["parallel"] = lambda file: _parallel(complete, objectives, file)
    if len(objectives) > 1:
        drawn["front"] = lambda file: _front(study, complete, objectives, file)
    files = {name: folder / f"{name}.png" for name in drawn}
    for name, file in files.items():
        drawn[name](file)
    return files


def _history(complete: pd.DataFrame, first: str, file: Path) -> None:
    import seaborn as sns
    from matplotlib.ticker import MaxNLocator

    blue, orange, *_ = sns.color_palette("colorblind")
    trials = complete.sort_values("trial")
    values = trials[first] * _scale(first)
    best = values.cummax() if first == "dev_uar" else values.cummin()
    with drawing(file, (7, 3.6), grid=True) as figure:
        axes = figure.subplots()
        axes.step(trials["trial"] + 1, best, where="post", color=blue, linewidth=1.8, label="best so far")
        axes.scatter(trials["trial"] + 1, values, color=orange, s=22, zorder=3, label="a trial")
        axes.set_xlabel("trial")
        axes.set_ylabel(LABELS[first])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)


def _importances(study: "optuna.Study", file: Path) -> None:
    import seaborn as sns
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    many = len(study.directions) > 1
    target = (lambda trial: trial.values[0]) if many else None  # noqa: PD011
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0), target=target)
    with drawing(file, (7, 0.8 + 0.4 * len(shares))) as figure:
        axes = figure.subplots()
        widths = [100 * share for share in shares.values()]
        bars = axes.barh([*shares], widths, color=sns.color_palette("colorblind")[0], height=0.62)
        axes.bar_label(bars, fmt="%.0f %%", padding=4)
        axes.invert_yaxis()
        axes.set_xlabel("share of the variance of dev UAR (%)")
        axes.margins(x=0.12)


def _parallel(complete: pd.DataFrame, objectives: Sequence[str], file: Path) -> None:
    """Each trial a line through its settings, each setting an axis of its own from its lowest to its highest."""
    import matplotlib as mpl

    keys = [str(key) for key in complete.columns if key not in ("trial", "state", *objectives[1:])]
    keys = [*keys[1:], keys[0]]  # the objective last
    places = {key: _places(complete[key]) for key in keys}
    uar = complete[objectives[0]].to_numpy(dtype=float)
    order = uar.argsort() if objectives[0] == "dev_uar" else (-uar).argsort()
    shade = mpl.colormaps["viridis_r"]
    with drawing(file, (1.5 + 1.25 * len(keys), 4.2)) as figure:
        axes = figure.subplots()
        for rank, row in enumerate(order):
            at = [places[key][0][row] for key in keys]
            where = rank / max(1, len(order) - 1)
            axes.plot(
                range(len(keys)),
                at,
                color=shade(0.1 + 0.9 * where),
                alpha=0.35 + 0.65 * where,
                linewidth=1 + 1.5 * where,
            )
        for number, key in enumerate(keys):
            axes.axvline(number, color=GREY, linewidth=0.8, zorder=0)
            for height, text in places[key][1]:
                beside: dict[str, Any] = {"xytext": (3, 0), "textcoords": "offset points", "va": "center"}
                axes.annotate(text, (number, height), **beside, fontsize=7.5, bbox=TAG, zorder=5)
        axes.set_xticks(range(len(keys)), [key.replace(".", ".\n") for key in keys], fontsize=8)
        axes.set_yticks([])
        for side in axes.spines.values():
            side.set_visible(False)


def _front(study: "optuna.Study", complete: pd.DataFrame, objectives: Sequence[str], file: Path) -> None:
    import seaborn as sns

    one, other = objectives[:2]
    best = {trial.number for trial in study.best_trials}
    on_it = complete["trial"].isin(best)
    with drawing(file, (6, 4), grid=True) as figure:
        axes = figure.subplots()
        sides = (complete[~on_it], GREY, "beaten"), (complete[on_it], sns.color_palette("colorblind")[0], "not beaten")
        for rows, colour, label in sides:
            axes.scatter(rows[other] * _scale(other), rows[one] * _scale(one), color=colour, s=30, label=label)
        axes.set_xlabel(LABELS[other])
        axes.set_ylabel(LABELS[one])
        axes.legend(frameon=False)


def _places(column: pd.Series) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Heights from 0 to 1 of a setting's values, and what stands at some of them; a wide range is taken by its logarithm."""
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.isna().any() or numbers.nunique() in range(2, FEW):
        known = pd.DataFrame({"text": column.astype(str), "number": numbers}).drop_duplicates("text")
        kinds = known.sort_values(["number", "text"])["text"].tolist()
        heights = {kind: i / max(1, len(kinds) - 1) for i, kind in enumerate(kinds)}
        return column.astype(str).map(heights).to_numpy(dtype=float), [
            (height, kind) for kind, height in heights.items()
        ]
    values = numbers.to_numpy(dtype=float)
    low, high = values.min(), values.max()
    if low == high:
        return np.full(len(values), 0.5), [(0.5, f"{low:.3g}")]
    wide = low > 0 and high / low > WIDE
    taken = np.log(values) if wide else values
    ends = taken.min(), taken.max()
    middle = float(np.exp(np.mean(ends)) if wide else np.mean(ends))
    return (taken - ends[0]) / (ends[1] - ends[0]), [(0.0, f"{low:.3g}"), (0.5, f"{middle:.3g}"), (1.0, f"{high:.3g}")]


def _scale(objective: str) -> float:
    return {"dev_uar": 100.0, "latency": 1000.0}.get(objective, 1.0)


def write_search_page(
    trials: pd.DataFrame,
    chosen: Mapping[str, Any],
    tested: Mapping[str, Mapping[str, Any]],
    pictures: Mapping[str, Path],
    path: Path,
) -> None:
    """Write the page, whole or not at all.

    Args:
        trials: See `trials_of`.
        chosen: Settings by key.
        tested: The summaries of the test speakers, by whose settings: ``first``, ``chosen``.
        pictures: See `draw_search`.
        path: Where to.
    """
    text = (
        template_environment(Path(__file__).parent)
        .get_template(TEMPLATE)
        .render(
            columns=list(trials.columns),
            rows=[[_shown(str(name), value) for name, value in row.items()] for _, row in trials.iterrows()],
            chosen=chosen,
            tested=tested,
            pictures={PICTURES[name]: data_uri(file) for name, file in pictures.items()},
        )
    )
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _shown(name: str, value: Any) -> str:
    if value is None or value != value:
        return ""
    if name == "dev_uar":
        return percent(value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)
