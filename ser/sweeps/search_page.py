"""What a search found: the trials as a table, Optuna's pictures of them, and a page with both."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ser.evaluation.measure import MEASURES, measure_in
from ser.protocols.stamps import meaning
from ser.report.format import writer
from ser.report.html import data_uri, rendered
from ser.report.tables import simple_table
from ser.runtime.files import replacing, write_text

if TYPE_CHECKING:
    import optuna
    from rich.table import Table

TEMPLATE = Path(__file__).with_name("search.html.j2")
LABELS = {measure.dev: f"{measure.name} of dev speakers" for measure in MEASURES}
LABELS |= {"parameters": "parameters", "latency": "seconds for 3 s of speech"}
SHOWN = 10
"""Trials in the table on the terminal."""
DPI = 150
PICTURES = {
    "history": "The first objective of each trial, numbered from 0; a line, where there is one, is the best so far",
    "importances": "The share of the variance of the dev score that each setting explains (fANOVA); few trials say little",
    "parallel": "Each trial is a line through its settings; its colour is the first objective, as the bar shows",
    "front": "Each trial by its objectives; in red, those that no other trial beats in all of them",
}


def trials_of(study: "optuna.Study", objectives: Sequence[str]) -> pd.DataFrame:
    """Return one row a trial, the best first: ``trial``, ``state``, the objectives, then the settings."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        values = dict(zip(objectives, trial.values or [], strict=False))  # noqa: PD011
        rows.append({"trial": trial.number, "state": trial.state.name.lower(), **values, **trial.params})
    table = pd.DataFrame(rows)
    first = objectives[0]
    if first not in table:
        return table
    return table.sort_values(first, ascending=not first.startswith("dev_"), kind="stable", na_position="last")


def choices_table(choices: Sequence[Mapping[str, Any]]) -> "Table":
    """Lay out what each fold chose for the terminal."""
    name = LABELS[choices[0]["by"]]
    laid = simple_table("The settings that the dev speakers of each fold chose", "fold", "trial", name, left=0)
    laid.add_column("settings")
    for one in choices:
        settings = ", ".join(f"{key} {value}" for key, value in one["settings"].items())
        laid.add_row(str(one["fold"]), str(one["trial"]), _shown(one["by"], one["score"]), settings)
    return laid


def table(trials: pd.DataFrame, objectives: Sequence[str], title: str) -> "Table":
    """Lay out the best trials for the terminal."""
    known = [name for name in ("trial", "state", *objectives) if name in trials]
    laid = simple_table(title, *known, left=0, no_wrap=True)
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
    """Draw what there are enough trials for; return the files by their captions."""
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.visualization import matplotlib as pictures

    complete = trials[trials["state"] == "complete"]
    names = [LABELS[name] for name in objectives]
    first: dict[str, Any] = {"target_name": names[0]}
    if len(objectives) > 1:
        first["target"] = lambda trial: trial.values[0]  # noqa: PD011
    drawn: dict[str, Callable[[], Any]] = {"history": lambda: pictures.plot_optimization_history(study, **first)}
    found = complete[objectives[0]]
    if found.max() > found.min():  # where all trials are equal, no setting is more important
        evaluator = FanovaImportanceEvaluator(seed=0)
        drawn["importances"] = lambda: pictures.plot_param_importances(study, evaluator=evaluator, **first)
    if len(complete) > 1:
        drawn["parallel"] = lambda: pictures.plot_parallel_coordinate(study, **first)
    if len(objectives) > 1:
        drawn["front"] = lambda: pictures.plot_pareto_front(study, target_names=names)
    files = {name: folder / f"{name}.png" for name in drawn}
    for name, file in files.items():
        with _pyplot(), replacing(file) as unfinished:
            figure = drawn[name]().figure
            if name == "parallel":  # Optuna's width does not depend on how many settings there are
                figure.set_size_inches(max(8.0, 1.6 * len(trials.columns)), 5.0)
            figure.savefig(unfinished, dpi=DPI, bbox_inches="tight")
    return {PICTURES[name]: file for name, file in files.items()}


@contextmanager
def _pyplot() -> Iterator[None]:
    """Keep what Optuna changes of matplotlib's global state, and the figure that it opens, inside the block."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    opened = set(plt.get_fignums())
    with mpl.rc_context({"backend": "agg"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pictures that are experimental, and of layouts that are tight
        try:
            yield
        finally:
            for number in set(plt.get_fignums()) - opened:
                plt.close(number)


def write_search_page(
    trials: pd.DataFrame,
    choices: Sequence[Mapping[str, Any]],
    tested: Mapping[str, Mapping[str, Any]],
    pictures: Mapping[str, Path],
    path: Path,
) -> None:
    """Write the page, whole or not at all.

    Args:
        trials: See `trials_of`; of several folds with a column ``fold``.
        choices: Of each study, ``fold``, ``trial``, ``by``, ``score`` and ``settings``; one without a fold is for all folds.
        tested: The metrics of the test speakers, by what settings they are of.
        pictures: Files by their captions.
        path: The page.
    """
    rows = [[_shown(str(name), value) for name, value in row.items()] for _, row in trials.iterrows()]
    drawn = {caption: data_uri(file) for caption, file in pictures.items()}
    measure = measure_in(next(iter(tested.values())))
    shown = [{**one, "by": LABELS[one["by"]], "score": _shown(one["by"], one["score"])} for one in choices]
    values = {"columns": list(trials.columns), "rows": rows, "choices": shown, "tested": tested, "pictures": drawn}
    values |= {"measure": measure, "write": writer(measure), "meaning": meaning}
    write_text(rendered(TEMPLATE, values), path)


def _shown(name: str, value: Any) -> str:
    if value is None or value != value:
        return ""
    for measure in MEASURES:
        if name == measure.dev:
            return writer(measure)(value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)
