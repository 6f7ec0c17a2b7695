"""The studies of a search, what they choose, and what the test speakers say of it.

Over all folds, the dev speakers of one fold test in another. So each fold has a study of its own, which sees the scores of
its own dev speakers alone (nested cross-validation: Varma and Simon, 2006, https://doi.org/10.1186/1471-2105-7-91). Test
speakers are scored once, at the end, under the chosen settings and under the first ones.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ser.errors import ConfigError, RunError
from ser.evaluation.measure import measure_in
from ser.evaluation.summary import read_metrics
from ser.protocols.plan import planned
from ser.protocols.searched import search_stamp
from ser.report.format import writer
from ser.runs.folder import METRICS
from ser.runtime.composition import literal
from ser.runtime.files import replacing
from ser.sweeps import search_page as report
from ser.sweeps.search import OVERRIDES, Search, Settings
from ser.sweeps.sweep import Sweep
from ser.training.checks import OF_ALL_FOLDS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

ONE_CHOICE = "To choose one for all folds, set hydra.sweeper.nested=false; results are then stamped."


def search(
    sweep: Sweep, settings: Settings, fixed: Sequence[str], space: "Mapping[str, BaseDistribution]"
) -> dict[str, Path]:
    """Search, test what was chosen, and report it.

    Returns:
        The runs of the first settings and of the chosen ones, by ``first`` and ``chosen``.

    Raises:
        ConfigError: If the space has a setting that decides who tests.
        RunError: If too many trials fail, or a test does.
    """
    if who := [key for key in space if key == "fold" or key.partition(".")[0] == "protocol"]:
        raise ConfigError(f"{who[0]} must have one value in a search: its dev scores cannot be compared. Give one.")
    studies = studies_of(sweep, settings, fixed, space)
    for study in studies:
        study.run()
    plans = sweep.plan([_fixed(studies, fixed), [*_fixed(studies, fixed), *_chosen(sweep, studies, fixed)]])
    sweep.launch(plans, "Test speakers, under the first settings and the chosen ones")
    folders = {"first": plans[0].folder, "chosen": plans[1].folder}
    _report(sweep, studies, folders)
    return folders


def studies_of(
    sweep: Sweep, settings: Settings, fixed: Sequence[str], space: "Mapping[str, BaseDistribution]"
) -> list[Search]:
    """Return the studies: one for each fold, or one for the folds together, whose results are stamped where that must be."""
    config = sweep.settings(fixed)
    if config["fold"] != "all":
        return [Search(sweep, settings, fixed, space)]
    plan = planned(config)
    folds = [split.fold for split in plan.splits]
    if settings.nested and len(folds) > 1:
        if shared := [key for key in space if key.partition(".")[0] in OF_ALL_FOLDS]:
            raise ConfigError(f"{shared[0]} must be the same in all folds; got a range. {ONE_CHOICE}")
        return [Search(sweep, settings, fixed, space, fold) for fold in folds]
    stamped = search_stamp(plan.splits, plan.labelled.manifest, folds, folds)
    return [Search(sweep, settings, [*fixed, *([f"searched={literal(folds)}"] if stamped else [])], space)]


def _fixed(studies: Sequence[Search], fixed: Sequence[str]) -> list[str]:
    """Return the overrides of the tests."""
    return list(fixed) if len(studies) > 1 else studies[0].fixed


def _chosen(sweep: Sweep, studies: Sequence[Search], fixed: Sequence[str]) -> list[str]:
    """Return the overrides of what the studies chose: of several, the parts in which each fold differs."""
    choices = [[f"{key}={value}" for key, value in study.chosen().user_attrs[OVERRIDES].items()] for study in studies]
    if len(studies) == 1:
        return choices[0]
    first, own = sweep.settings(fixed), {}
    for study, choice in zip(studies, choices, strict=True):
        parts = sweep.settings([*fixed, *choice]).items()
        own[f"fold_{study.fold}"] = {k: v for k, v in parts if v != first.get(k) and k not in OF_ALL_FOLDS}
    return [f"fold_settings={literal(own)}"]


def _report(sweep: Sweep, studies: Sequence[Search], folders: Mapping[str, Path]) -> None:
    """Print what was chosen and its scores, and write ``search/`` and the sweep's report into its folder."""
    missing = [name for name, folder in folders.items() if not (folder / METRICS).exists()]
    if missing:
        raise RunError(
            f"The test speakers were not scored under the {' and '.join(missing)} settings. See the run.log of a job in "
            f"{sweep.folder}."
        )
    tested = {name: read_metrics(folder / METRICS) for name, folder in folders.items()}
    out, objectives = sweep.folder / "search", studies[0].settings.objectives
    tables = {study.fold: report.trials_of(study.study, objectives) for study in studies}
    trials = pd.concat([_with_fold(table, fold) for fold, table in tables.items()], ignore_index=True)
    with replacing(out / "trials.csv") as unfinished:
        trials.to_csv(unfinished, index=False)
    choices = [_choice(study) for study in studies]
    pictures: dict[str, Path] = {}
    for study in studies:
        where, name = (out, "") if study.fold is None else (out / f"fold_{study.fold}", f"Fold {study.fold}. ")
        drawn = report.draw_search(study.study, tables[study.fold], objectives, where)
        pictures |= {f"{name}{caption}": file for caption, file in drawn.items()}
    report.write_search_page(trials, choices, tested, pictures, out / "search.html")
    sweep.console.print(
        report.choices_table(choices) if len(studies) > 1 else report.table(trials, objectives, studies[0].name)
    )
    for name, summary in tested.items():
        measure = measure_in(summary)
        score = writer(measure)(summary[measure.key])
        stamps = "".join(f" [{stamp.upper()}]" for stamp in summary["run"]["stamps"])
        sweep.say(f"{measure.name} of test speakers, {name} settings: {score}{stamps}")
    sweep.report(list(dict.fromkeys(folders.values())))
    sweep.say(f"Page: {out / 'search.html'}")


def _with_fold(table: pd.DataFrame, fold: int | None) -> pd.DataFrame:
    if fold is not None:
        table.insert(0, "fold", fold)
    return table


def _choice(study: Search) -> dict[str, Any]:
    """Return the choice of a study: ``fold``, ``trial``, its score and its settings."""
    trial, first = study.chosen(), study.settings.objectives[0]
    score = trial.values[0]  # noqa: PD011
    return {
        "fold": study.fold,
        "trial": trial.number,
        "by": first,
        "score": score,
        "settings": trial.user_attrs[OVERRIDES],
    }
