"""A search for good settings: Optuna proposes them, and jobs of a sweep report the UAR of dev speakers."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import OmegaConf

from ser.errors import ConfigError, RunError
from ser.runtime.composition import quoted
from ser.runtime.files import replacing
from ser.runtime.words import counted
from ser.sweeps import job
from ser.sweeps.board import first_line
from ser.sweeps.space import as_text, in_space
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
        nested: With ``fold=all``, a study for each fold, so that no dev speaker of another fold chooses its settings;
            otherwise one for all folds together.
        n_trials: How many finished or pruned trials each study must have, including those of earlier commands.
        at_once: Trials that the launcher gets together.
        max_failed: Failed trials of a study at which the search stops.
        objectives: Some of `DIRECTIONS`; the first one chooses.
        sampler: ``_target_`` and arguments of a sampler of Optuna.
        pruner: ``_target_`` and arguments of a pruner of Optuna.
        seed: The seed of the sampler.
    """

    study: str
    storage: str | None
    nested: bool
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
        if not isinstance(self.nested, bool):
            raise ConfigError(f"hydra.sweeper.nested must be true or false; got {self.nested!r}.")
        if not self.objectives or any(name not in DIRECTIONS for name in self.objectives):
            raise ConfigError(
                f"hydra.sweeper.objectives must be some of {', '.join(DIRECTIONS)}; got {list(self.objectives)}."
            )


class Search:
    """Trials of one study, as jobs of a sweep.

    Args:
        sweep: Launches the jobs.
        settings: Those of the search.
        fixed: The overrides that all trials share.
        space: The distributions of the others, by their keys.
        fold: The only fold of the trials, of several that each have a study; ``None`` if ``fixed`` says the folds.
    """

    def __init__(
        self,
        sweep: Sweep,
        settings: Settings,
        fixed: Sequence[str],
        space: "Mapping[str, BaseDistribution]",
        fold: int | None = None,
    ) -> None:
        if not space:
            raise ConfigError(
                "A search must have ranges; got none. Give some, such as model.dropout='interval(0.1,0.6)'."
            )
        self.failed, self.fold = 0, fold
        self.name = settings.study if fold is None else f"{settings.study}-fold{fold}"
        self.storage = settings.storage or f"sqlite:///{sweep.folder / 'study.db'}"
        self.sweep, self.settings, self.space = sweep, settings, dict(space)
        self.fixed = list(fixed) if fold is None else with_fold(fixed, fold)
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
            heading = f"Trial{'s' if len(trials) > 1 else ''} {numbers} ({left} to go)"
            self.sweep.launch(plans, heading if self.fold is None else f"Fold {self.fold}: {heading}")
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
            raise RunError(f"No trial of {self.name} has finished. See the run.log of a job in {self.sweep.folder}.")
        sign = 1 if DIRECTIONS[self.settings.objectives[0]] == "maximize" else -1
        return max(best, key=lambda trial: sign * trial.values[0])

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
                f"hydra.sweeper.objectives must be those of the study {self.name}; got "
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
                storage=self.storage, study_name=self.name, directions=directions, load_if_exists=True
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
            value = in_space(chosen, distribution)
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
        address, study = quoted(str(self.sweep.folder / STORAGE)), quoted(self.name)
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


def with_fold(fixed: Sequence[str], fold: int) -> list[str]:
    """Return overrides with another fold.

    Example:
        >>> with_fold(["data=savee", "fold=all"], 2)
        ['data=savee', 'fold=2']
    """
    return [*(override for override in fixed if not override.startswith("fold=")), f"fold={fold}"]


def _without_password(address: str) -> str:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(address).render_as_string(hide_password=True)
    except ArgumentError:  # no address, and so without one
        return address
