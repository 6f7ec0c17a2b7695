"""A search for good settings: Optuna proposes them, and jobs of a sweep report the UAR of dev speakers.

Test speakers are scored once, at the end, under the settings that the dev speakers chose and under those of the first trial.
"""

import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf

from ser.errors import ConfigError, RunError
from ser.evaluation.measure import measure_in
from ser.report.format import writer
from ser.runs.folder import METRICS
from ser.runtime.composition import literal, quoted
from ser.runtime.files import replacing
from ser.runtime.words import counted
from ser.sweeps import job
from ser.sweeps.board import first_line
from ser.sweeps.sweep import Planned, Sweep

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

DIRECTIONS: Mapping[str, Literal["minimize", "maximize"]] = {
    "dev_uar": "maximize",
    "dev_ccc": "maximize",
    "parameters": "minimize",
    "latency": "minimize",
}
"""What a search can optimize, and in which direction."""
STORAGE = ".storage"
"""The file in a sweep's folder from which jobs read the address, which may hold a password: no record of a job may."""
OVERRIDES, FOLDER = "overrides", "folder"
"""The attributes of a trial beside its numbers."""


@dataclass(frozen=True)
class Settings:
    """The settings of a search.

    Attributes:
        study: The name of the study in the storage.
        storage: The address of Optuna's storage, such as ``sqlite:////runs/study.db``, or of a database server where several
            machines share a study; ``None`` is a file in the sweep's folder.
        n_trials: How many finished or pruned trials the study must have, including those of earlier commands.
        at_once: Trials that the launcher gets together.
        max_failed: Failed trials at which the search stops.
        objectives: Some of `DIRECTIONS`; the first one chooses.
        sampler: ``_target_`` and arguments of a sampler of Optuna.
        pruner: ``_target_`` and arguments of a pruner of Optuna.
        seed: The seed of the sampler.
    """

    study: str
    storage: str | None
    n_trials: int
    at_once: int
    max_failed: int
    objectives: Sequence[str]
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any]
    seed: int

    def __post_init__(self) -> None:
        for name in ("n_trials", "at_once", "max_failed"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ConfigError(f"hydra.sweeper.{name} must be an integer of 1 or more; got {getattr(self, name)!r}.")
        if not self.objectives or any(name not in DIRECTIONS for name in self.objectives):
            raise ConfigError(
                f"hydra.sweeper.objectives must be some of {', '.join(DIRECTIONS)}; got {list(self.objectives)}."
            )


class Search:
    """Trials of one study, as jobs of a sweep."""

    def __init__(
        self, sweep: Sweep, settings: Settings, fixed: Sequence[str], space: "Mapping[str, BaseDistribution]"
    ) -> None:
        if not space:
            raise ConfigError(
                "A search must have ranges; got none. Give some, such as model.dropout='interval(0.1,0.6)'."
            )
        self.failed = 0
        self.storage = settings.storage or f"sqlite:///{sweep.folder / 'study.db'}"
        self.sweep, self.settings, self.fixed, self.space = sweep, settings, list(fixed), dict(space)
        self.study = self._open()

    def run(self) -> None:
        """Run trials until the study has enough of them.

        Raises:
            RunError: If too many trials fail.
        """
        from optuna.trial import TrialState

        ended = TrialState.COMPLETE, TrialState.PRUNED
        while (left := self.settings.n_trials - len(self.study.get_trials(deepcopy=False, states=ended))) > 0:
            at_once = min(left, self.settings.at_once)
            trials = self._left_over()[:at_once]
            trials += [self._ask() for _ in range(at_once - len(trials))]
            plans = self.sweep.plan([self._overrides(trial) for trial in trials])
            for trial, plan in zip(trials, plans, strict=True):
                trial.set_user_attr(FOLDER, str(plan.folder))
            numbers = ", ".join(str(trial.number) for trial in trials)
            self.sweep.launch(plans, f"Trial{'s' if len(trials) > 1 else ''} {numbers} ({left} to go)")
            for trial, plan in zip(trials, plans, strict=True):
                self._tell(trial, plan)

    def chosen(self) -> "optuna.trial.FrozenTrial":
        """Return the best trial by the first objective among those that no other trial beats in all objectives.

        Raises:
            RunError: If no trial has ended well.
        """
        from optuna.trial import TrialState

        complete = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        best = self.study.best_trials if len(self.study.directions) > 1 else complete
        if not best:
            raise RunError(
                f"No trial of {self.settings.study} has finished. See the run.log of a job in {self.sweep.folder}."
            )
        sign = 1 if DIRECTIONS[self.settings.objectives[0]] == "maximize" else -1
        return max(best, key=lambda trial: sign * trial.values[0])

    def test(self) -> tuple[Path, Path]:
        """Score the test speakers under the first settings and under the chosen ones."""
        chosen = [f"{key}={value}" for key, value in self.chosen().user_attrs[OVERRIDES].items()]
        plans = self.sweep.plan([self.fixed, [*self.fixed, *chosen]])
        self.sweep.launch(plans, "Test speakers, under the first settings and the chosen ones")
        return plans[0].folder, plans[1].folder

    def finish(self) -> None:
        """Test what was chosen, print it, and write ``search/`` and the sweep's report into its folder."""
        from ser.evaluation.summary import read_metrics
        from ser.sweeps import search_page as report

        folders = dict(zip(("first", "chosen"), self.test(), strict=True))
        missing = [name for name, folder in folders.items() if not (folder / METRICS).exists()]
        if missing:
            raise RunError(
                f"The test speakers were not scored under the {' and '.join(missing)} settings. See the run.log of a job in "
                f"{self.sweep.folder}."
            )
        tested = {name: read_metrics(folder / METRICS) for name, folder in folders.items()}
        objectives, out = self.settings.objectives, self.sweep.folder / "search"
        trials = report.trials_of(self.study, objectives)
        with replacing(out / "trials.csv") as unfinished:
            trials.to_csv(unfinished, index=False)
        pictures = report.draw_search(self.study, trials, objectives, out)
        report.write_search_page(trials, self.chosen().user_attrs[OVERRIDES], tested, pictures, out / "search.html")
        self.sweep.console.print(report.table(trials, objectives, f"Trials of {self.settings.study}"))
        for name, summary in tested.items():
            measure = measure_in(summary)
            score = writer(measure)(summary[measure.key])
            self.sweep.say(f"{measure.name} of test speakers, {name} settings: {score}")
        self.sweep.report(list(dict.fromkeys(folders.values())))
        self.sweep.say(f"Page: {out / 'search.html'}")

    def _open(self) -> "optuna.Study":
        import optuna

        from ser.runtime.instantiate import instantiate
        from ser.training.callbacks import PRUNER

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        directions = [DIRECTIONS[name] for name in self.settings.objectives]
        with replacing(self.sweep.folder / STORAGE) as unfinished:
            unfinished.touch(mode=0o600)
            unfinished.write_text(self.storage, encoding="utf-8")
        study = self._opened(directions)
        if [direction.name.lower() for direction in study.directions] != directions:
            raise ConfigError(
                f"hydra.sweeper.objectives must be those of the study {self.settings.study}; got "
                f"{list(self.settings.objectives)}. Choose another hydra.sweeper.study."
            )
        # A sampler that is seeded as before would propose the same settings again.
        sampler = {**self.settings.sampler, "seed": self.settings.seed + len(study.trials)}
        study.sampler = instantiate(sampler, optuna.samplers.BaseSampler)
        # Here, so that a wrong pruner ends the command.
        instantiate(self.settings.pruner, optuna.pruners.BasePruner)
        study.set_user_attr(PRUNER, dict(self.settings.pruner))
        if not study.trials and (defaults := self._defaults()) is not None:
            study.enqueue_trial(defaults)
        return study

    def _opened(self, directions: Sequence[Literal["minimize", "maximize"]], tries: int = 3) -> "optuna.Study":
        """Create or load the study; two machines that create it at once may collide, and try again."""
        import optuna
        from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

        name = f"hydra.sweeper.storage={_without_password(self.storage)}"
        try:
            return optuna.create_study(
                storage=self.storage, study_name=self.settings.study, directions=directions, load_if_exists=True
            )
        except ImportError as error:
            raise ConfigError(
                f"{name} needs the driver of its database, named in the address: pip install psycopg2-binary for "
                "postgresql+psycopg2://user:password@server/name."
            ) from error
        except SQLAlchemyError as error:  # no such place or server; or it is making the tables for another machine
            if tries == 1 or isinstance(error, OperationalError) or not isinstance(error, DatabaseError):
                raise ConfigError(f"{name} cannot be opened: {first_line(str(error))}") from error
        time.sleep(random.uniform(0.5, 2.0))
        return self._opened(directions, tries - 1)

    def _defaults(self) -> dict[str, Any] | None:
        """Return the default settings, which are the first trial; ``None`` where the space does not contain them."""
        known = {}
        for key, distribution in self.space.items():
            chosen = self.sweep.config.hydra.runtime.choices.get(key) or OmegaConf.select(self.sweep.config, key)
            value = _as_in_space(chosen, distribution)
            if value is None:
                return None
            known[key] = value
        return known

    def _ask(self) -> "optuna.trial.Trial":
        trial = self.study.ask(self.space)
        trial.set_user_attr(OVERRIDES, {key: as_text(value) for key, value in trial.params.items()})
        return trial

    def _left_over(self) -> "list[optuna.trial.Trial]":
        """Return the trials of this folder that were interrupted and that no process runs."""
        import optuna

        found = []
        for trial in self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            folder = Path(trial.user_attrs.get(FOLDER, "/"))
            # The path may be that of another machine, whose jobs are not in this folder.
            mine = folder.parent == self.sweep.folder and (folder / job.RECORD).exists()
            if mine and job.state_of(folder, job.read_record(folder).fingerprint, test=False) != "running":
                found.append(optuna.trial.Trial(self.study, trial._trial_id))
        return found

    def _overrides(self, trial: "optuna.trial.Trial") -> list[str]:
        """Return the overrides of a trial's job."""
        address, study = quoted(str(self.sweep.folder / STORAGE)), quoted(self.settings.study)
        where = f"storage:{address},study:{study},number:{trial.number}"
        chosen = [f"{key}={value}" for key, value in trial.user_attrs[OVERRIDES].items()]
        timed = ["sweep.latency=true"] if "latency" in self.settings.objectives else []
        return [*self.fixed, *chosen, "test=false", f"sweep.trial={{{where}}}", *timed]

    def _tell(self, trial: "optuna.trial.Trial", plan: Planned) -> None:
        """Tell the study the outcome of a trial."""
        from optuna.trial import TrialState

        record = job.read_record(plan.folder)
        state = plan.state
        if state == "done":
            if absent := [name for name in self.settings.objectives if getattr(record, name) is None]:
                raise ConfigError(
                    f"hydra.sweeper.objectives must be what the jobs measure, such as {record.measure.dev} with these "
                    f"labels; got {absent[0]}."
                )
            values = [float(getattr(record, name)) for name in self.settings.objectives]
            self.study.tell(trial, values, skip_if_finished=True)  # who shares the study may have told it
        elif state == "pruned":
            self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        elif state != "running":  # elsewhere: whoever runs it tells
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            self.failed += 1
            if self.failed >= self.settings.max_failed:
                raise RunError(
                    f"{counted(self.failed, 'trial')} failed, the last in {plan.folder}: "
                    f"{str(record.reason).rstrip('.')}. The search stops here. Resume it with the same command."
                )


def space_of(overrides: Sequence[Override]) -> "tuple[list[str], dict[str, BaseDistribution]]":
    """Separate what is searched from what is fixed.

    Args:
        overrides: Parsed by Hydra: ``interval(1e-4,1e-2)``, ``tag(log,interval(1e-4,1e-2))``, ``tag(int,interval(1,64))``,
            ``range(1,5)``, which excludes its end, and ``choice(a,b)`` or ``a,b``. The last override of a key counts.

    Returns:
        The fixed overrides, and the distributions by key.

    Raises:
        ConfigError: If Optuna is not installed, or has no such distribution.
    """
    if find_spec("optuna") is None:
        raise ConfigError("hparams_search=optuna needs its package: pip install 'ser[search]'.")
    last = {override.get_key_element(): override for override in overrides}
    fixed = [f"{key}={o.get_value_element_as_str()}" for key, o in last.items() if not o.is_sweep_override()]
    return fixed, {key: _distribution(key, override) for key, override in last.items() if override.is_sweep_override()}


def settings_of_space(space: Mapping[str, str | None], config: DictConfig) -> tuple[dict[str, str], list[str]]:
    """Separate the ranges of ``conf/space`` by whether the configuration has their settings: a loss may have no smoothing.

    A range that is null is not searched: a model may not use the setting.

    Returns:
        The ranges of settings that the configuration has, and the names of the others.
    """
    ranges = {key: value for key, value in space.items() if value is not None}
    here = {key: value for key, value in ranges.items() if _has(config, key)}
    return here, [key for key in ranges if key not in here]


def _has(config: DictConfig, key: str) -> bool:
    above, _, last = key.rpartition(".")
    node = OmegaConf.select(config, above) if above else config
    return isinstance(node, DictConfig) and last in set(node)


def _distribution(key: str, override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    try:
        if isinstance(value, ChoiceSweep):
            return CategoricalDistribution(list(override.sweep_string_iterator()))
        if isinstance(value, IntervalSweep):
            start, end, log_scale = value.start or 0, value.end or 0, "log" in value.tags
            if "int" in value.tags:
                return IntDistribution(int(start), int(end), log=log_scale)
            return FloatDistribution(float(start), float(end), log=log_scale)
        if isinstance(value, RangeSweep):
            start, stop, step = value.start or 0, value.stop or 0, value.step
            last = start + step * (math.ceil((stop - start) / step) - 1)
            if all(isinstance(number, int) for number in (start, stop, step)):
                return IntDistribution(int(start), int(last), step=int(step))
            return FloatDistribution(float(start), float(last), step=float(step))
    except ValueError as error:
        raise ConfigError(f"{key}={override.get_value_string()} cannot be searched: {error}") from error
    raise ConfigError(f"{key}={override.get_value_string()} cannot be searched. Give interval, range or choice.")


def _without_password(address: str) -> str:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(address).render_as_string(hide_password=True)
    except ArgumentError:  # no address, and so without one
        return address


def as_text(value: Any) -> str:
    """Return a value as an override has it; text is as it was read from one.

    Example:
        >>> [as_text(value) for value in (1e-05, 3, True, None, "relu")]
        ['1e-05', '3', 'true', 'null', 'relu']
    """
    return value if isinstance(value, str) else literal(value)


def _as_in_space(value: Any, distribution: "BaseDistribution") -> Any:
    """Return a setting as a distribution has it; ``None`` where it is not in the distribution."""
    from optuna.distributions import CategoricalDistribution

    if isinstance(distribution, CategoricalDistribution):
        return as_text(value) if as_text(value) in distribution.choices else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if distribution._contains(distribution.to_internal_repr(value)) else None
