"""What a search found: the trials as a table, Optuna's pictures of them, and a page with both."""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ser.files import replacing
from ser.report.drawing import DPI
from ser.report.page import embedded, surroundings

if TYPE_CHECKING:
    import optuna
    from rich.table import Table

log = logging.getLogger(__name__)

TEMPLATE = "search.html.j2"
SHOWN = 10
"""Trials in the table on the terminal."""
PICTURES = {
    "history": "Dev UAR, trial by trial",
    "importances": "How much of its variance each setting explains (fANOVA; few trials say little)",
    "parallel": "Every trial as a line through its settings",
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
    for column in trials.columns:
        laid.add_column(str(column).rpartition(".")[2], justify="right")
    for _, row in trials.head(SHOWN).iterrows():
        laid.add_row(*(_shown(str(name), value) for name, value in row.items()))
    if len(trials) > SHOWN:
        laid.caption = f"The best {SHOWN} of {len(trials)} trials."
    return laid


def draw(study: "optuna.Study", objectives: Sequence[str], folder: Path) -> dict[str, Path]:
    """Draw what there are enough trials for, by Optuna; the files, by the names of `PICTURES`."""
    import matplotlib as mpl
    from optuna.trial import TrialState

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from optuna.visualization import matplotlib as pictures

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    first: dict[str, Any] = {"target_name": "dev UAR" if objectives[0] == "dev_uar" else objectives[0]}
    if len(objectives) > 1:
        first["target"] = lambda trial: trial.values[0]  # noqa: PD011
    drawn: dict[str, Callable[[], Any]] = {"history": lambda: pictures.plot_optimization_history(study, **first)}
    if len(complete) > 1:
        drawn["importances"] = lambda: pictures.plot_param_importances(study, **first)
        drawn["parallel"] = lambda: pictures.plot_parallel_coordinate(study, **first)
    if len(objectives) > 1:
        drawn["front"] = lambda: pictures.plot_pareto_front(study, target_names=list(objectives))
    files = {}
    for name, plot in drawn.items():
        with warnings.catch_warnings():  # that its pictures by matplotlib are experimental
            warnings.simplefilter("ignore")
            figure = plot().figure
        figure.set_size_inches(11 if name == "parallel" else 8, 4.5)
        with replacing(folder / f"{name}.png") as unfinished:
            figure.savefig(unfinished, dpi=DPI, bbox_inches="tight")
        plt.close(figure)
        files[name] = folder / f"{name}.png"
    return files


def write(
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
        pictures: See `draw`.
        path: Where to.
    """
    text = (
        surroundings()
        .get_template(TEMPLATE)
        .render(
            columns=list(trials.columns),
            rows=[[_shown(str(name), value) for name, value in row.items()] for _, row in trials.iterrows()],
            chosen=chosen,
            tested=tested,
            pictures={PICTURES[name]: embedded(file) for name, file in pictures.items()},
        )
    )
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _shown(name: str, value: Any) -> str:
    if value is None or value != value:
        return ""
    if name == "dev_uar":
        return f"{100 * value:.1f} %"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
