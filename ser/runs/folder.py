"""`RunFolder`: a run on disk, and the only module that spells the names of its files.

``runs/<name>`` holds the results of all folds together, ``runs/<name>/fold_<k>`` the files of one fold's training. A run of
one fold has the same shape. Version 0.1 wrote a single fold's files into the run's folder itself: such a folder is read as a
run whose only fold is in the same place.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import ConfigError, RunError
from ser.evaluation.measure import measure_in
from ser.inference.hub import HUB, downloaded
from ser.models.published_files import FACTS, WEIGHTS
from ser.report.format import with_interval, writer
from ser.runs.identity import essential, model_name, places, protocol_name
from ser.runtime.files import write_json, write_text
from ser.runtime.migration import migrated_config, moved_targets, run_block

if TYPE_CHECKING:
    import pandas as pd

CONFIG, MACHINE, LOG = "config.yaml", "machine.json", "run.log"
"""Settings that identify the run; settings and paths of its launch, which no result depends on; log."""
METRICS, PROFILE, CARD, PAGE = "metrics.json", "profile.json", "card.json", "card.html"
PREDICTIONS, DEV_PREDICTIONS, CONFUSION = "predictions.parquet", "dev_predictions.parquet", "confusion_matrix.png"
SCATTER = "scatter.png"
"""In place of the confusion matrix where targets are numbers."""
SPLIT, AUDIT = "split.json", "audit.json"
DEV_METRICS, ENVIRONMENT, HISTORY, CURVES = "dev_metrics.json", "environment.json", "metrics.csv", "training_curves.png"
"""Of one fold: numbers of the dev speakers, for a search; versions and device; one row per epoch; a picture of these rows."""
BEST, LAST = "checkpoints/best.ckpt", "checkpoints/last.ckpt"
"""Of one fold: the weights with the best dev UAR, for predictions; and the state to resume from."""
OF_CARD: tuple[str, ...] = (AUDIT, BEST, CONFIG, CONFUSION, CURVES, DEV_PREDICTIONS, ENVIRONMENT, HISTORY, METRICS)
OF_CARD += (PAGE, PREDICTIONS, PROFILE, SCATTER, SPLIT)
"""Files whose SHA-256 a card holds, in the run's folder and in those of its folds, if they exist."""
LARGE = (".ckpt", ".html", ".png")
"""Suffixes of weights, pages and pictures, which a small copy of a run leaves out: no number is read from them."""
SIBLING = "sibling.json"
"""Of a model with ``fold=final``: the numbers of its tested sibling; see `ser.runs.sibling`."""
FOLD = "fold_"
TOY_NAME, TOY_FILE = "toy", Path(__file__).parent / "assets" / "toy.ckpt"
"""A small model of synthetic speech, which ``scripts/make_toy.py`` makes."""
AVERAGE = "average"
"""Of the models of all folds; see `models_of`."""


@dataclass(frozen=True)
class RunFolder:
    """A run or one of its folds, read from disk on access.

    Every property raises `RunError`, with the file's name, if a file is absent, truncated or changed.

    Args:
        path: ``runs/<name>``, or ``runs/<name>/fold_<k>``.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path).expanduser())

    def __repr__(self) -> str:
        try:
            return f"RunFolder({str(self.path)!r}: {self._described()})"
        except RunError as error:
            return f"RunFolder({str(self.path)!r}: {error})"

    @property
    def name(self) -> str:
        """The folder's name, also where the path is ``.``."""
        return self.path.resolve().name

    @cached_property
    def folds(self) -> "tuple[RunFolder, ...]":
        """The folds in their order; of a fold, only itself."""
        found = [(fold_number(part), part) for part in self.path.glob(f"{FOLD}*") if fold_number(part) is not None]
        return tuple(RunFolder(part) for _, part in sorted(found)) or (self,)

    @cached_property
    def whole(self) -> "RunFolder":
        """The run that a fold belongs to; of a run, itself."""
        return self if fold_number(self.path) is None else RunFolder(self.path.resolve().parent)

    @property
    def is_finished(self) -> bool:
        """Whether the test speakers are scored: the metrics exist, which are written last except for the card."""
        return self.has(METRICS)

    def has(self, name: str) -> bool:
        """Return whether a file exists.

        Raises:
            RunError: If the folder cannot be read.
        """
        try:
            return (self.path / name).is_file()
        except OSError as error:
            raise RunError(f"{self.path} cannot be read: {error.strerror}.") from error

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The resolved settings of the launch, for `ser.training.experiment.train`."""
        config, machine = deepcopy(self._config), self.whole._optional_object(MACHINE) or {}
        for key, place in machine.get("places", {}).items():
            *above, last = key.split(".")
            at = config
            for name in above:
                at = at.get(name) or {}
            if last in at:
                at[last] = place
        for key, value in machine.get("launch", {}).items():
            config[key] = {**config[key], **value} if isinstance(config.get(key), dict) else value
        return config

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved settings that identify the run, without those of its launch."""
        return essential(self._config)

    @property
    def asks_for_every_fold(self) -> bool:
        """Whether its settings ask for every fold of the protocol."""
        return self.whole.has(CONFIG) and self.config.get("fold") == "all"

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The numbers of the test speakers; their entry ``run`` is `about`."""
        return self._metrics(METRICS)

    @cached_property
    def dev_metrics(self) -> dict[str, Any]:
        """The numbers of a fold's dev speakers."""
        return self._metrics(DEV_METRICS)

    @property
    def about(self) -> dict[str, Any]:
        """Facts about the training: stamps, corpora, labels, protocol, splits, seed, ..."""
        about: dict[str, Any] = self.metrics["run"]
        return about

    @property
    def splits(self) -> dict[int, str]:
        """The hash of each fold's split, by the fold's number."""
        return {int(fold): split_hash for fold, split_hash in self.about["splits"].items()}

    @cached_property
    def predictions(self) -> "pd.DataFrame":
        """The predictions of the test speakers; see `ser.evaluation.predictions`."""
        return self._table(PREDICTIONS)

    @cached_property
    def dev_predictions(self) -> "pd.DataFrame":
        """The predictions of the dev speakers."""
        return self._table(DEV_PREDICTIONS)

    @property
    def dev_speakers(self) -> int | None:
        """The number of dev speakers of the fold that has the fewest; ``None`` without their predictions."""
        from ser.evaluation.conformal import fewest_speakers

        return fewest_speakers(self.dev_predictions) if self.has(DEV_PREDICTIONS) else None

    def table(self, name: str) -> "pd.DataFrame":
        """Return the predictions in one of the two files."""
        return self.predictions if name == PREDICTIONS else self.dev_predictions

    @cached_property
    def history(self) -> "pd.DataFrame":
        """A row for each epoch of a fold so far, counted from 0; empty before the first."""
        import pandas as pd

        file = self.path / HISTORY
        try:
            return pd.read_csv(file) if file.exists() else pd.DataFrame()
        except (OSError, ValueError) as error:
            raise RunError(f"{file} cannot be read: {error}. Delete it or train again.") from error

    @property
    def card(self) -> dict[str, Any] | None:
        """The result card, see `ser.runs.card`; ``None`` if there is none."""
        return self._optional_object(CARD)

    @property
    def profile(self) -> dict[str, Any] | None:
        """The numbers of `ser.evaluation.profile`; ``None`` if there are none."""
        return self._optional_object(PROFILE)

    @property
    def environment(self) -> dict[str, Any] | None:
        """Versions and device of a fold's training, see `ser.runs.environment`; ``None`` if they were not recorded."""
        return self._optional_object(ENVIRONMENT)

    @property
    def audit(self) -> list[dict[str, Any]] | None:
        """The findings of the audit; ``None`` if there was none."""
        found: list[dict[str, Any]] | None = self._optional_json(self.path / AUDIT)
        return found

    @property
    def split_file(self) -> dict[str, Any]:
        """The utterances of train, dev and test, see `ser.protocols.split_file`; empty if there is no such file."""
        return self._optional_object(SPLIT) or {}

    def suite(self, name: str) -> dict[str, Any] | None:
        """Return the numbers of a suite such as ``robustness``, see `ser.rescoring`; ``None`` if it was not run."""
        return self._optional_object(f"{name}.json")

    @property
    def sibling(self) -> dict[str, Any] | None:
        """The numbers of the tested sibling of a final model, see `ser.runs.sibling`; ``None`` if there are none."""
        return self._optional_object(SIBLING)

    @property
    def checkpoint(self) -> Path:
        """The checkpoint file for predictions, of a run of one fold.

        Raises:
            RunError: If there is none, or there are several folds.
        """
        if len(self.folds) > 1:
            names = ", ".join(str(fold.path) for fold in self.folds)
            raise RunError(
                f"{self.path} holds {len(self.folds)} folds, each with its own model. Load one of {names}, their "
                "average with folds=average, or train one on every speaker with fold=final."
            )
        if not self.folds[0].has(BEST):
            raise RunError(
                f"{self.path} has no checkpoint ({BEST}). Give the folder of a run whose training has finished, "
                "or the file of a model."
            )
        return self.folds[0].path / BEST

    @cached_property
    def _config(self) -> dict[str, Any]:
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError

        file = self.whole.path / CONFIG
        try:
            config = OmegaConf.to_container(OmegaConf.load(file))
        except FileNotFoundError as error:
            raise RunError(f"There is no {file}. Give the folder of a run.") from error
        except (OSError, ValueError, OmegaConfBaseException, YAMLError) as error:
            raise RunError(f"{file} must be a configuration; got a truncated or changed file. Train again.") from error
        if not isinstance(config, dict):
            raise RunError(f"{file} must be a configuration; got a truncated or changed file. Train again.")
        return {str(key): value for key, value in migrated_config(moved_targets(config)).items()}

    def _described(self) -> str:
        config = self.config
        protocol = self.about["protocol"] if self.is_finished else protocol_name(config)
        what = f"{'+'.join(config['data']['corpora'])}, {protocol}, {model_name(config['model'])}"
        if not self.is_finished:
            return f"{what}, not finished"
        measure = measure_in(self.metrics)
        interval, write = self.metrics[f"{measure.key}_interval"], writer(measure)
        score = with_interval(self.metrics[measure.key], interval["low"], interval["high"], " %", write=write)
        return f"{what}, {measure.name} {score}"

    def _metrics(self, name: str) -> dict[str, Any]:
        found = self._optional_object(name)
        if found is None:
            raise RunError(f"There is no {self.path / name}. Give the folder of a finished run, or finish it.")
        if not isinstance(found.get("run"), dict):
            raise RunError(
                f'{self.path / name} must have an entry "run"; got none, as the file was changed. Train again.'
            )
        return {**found, "run": run_block(found["run"])}

    def _table(self, name: str) -> "pd.DataFrame":
        from ser.evaluation import predictions

        try:
            return predictions.read_predictions(self.path / name)
        except OSError as error:
            raise RunError(f"{self.path / name} cannot be read: {error.strerror}.") from error

    def _optional_object(self, name: str) -> dict[str, Any] | None:
        found = self._optional_json(self.path / name)
        if found is not None and not isinstance(found, dict):
            raise RunError(
                f"{self.path / name} must hold an object; got a {type(found).__name__}. Evaluate or train again."
            )
        return found

    def _optional_json(self, file: Path) -> Any:
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RunError(
                f"{file} must be JSON; got a file that was truncated or changed ({error}). Evaluate or train again."
            ) from error


def fold_folder(run: Path, number: int) -> Path:
    """Return the folder of a fold."""
    return run / f"{FOLD}{number}"


def fold_number(path: Path) -> int | None:
    """Return the number of a fold's folder; ``None`` for other folders.

    Example:
        >>> fold_number(Path("runs/x/fold_12")), fold_number(Path("runs/x"))
        (12, None)
    """
    name = path.resolve().name
    return int(name.removeprefix(FOLD)) if name.startswith(FOLD) and name.removeprefix(FOLD).isdecimal() else None


def checkpoint_of(path: str | Path) -> Path:
    """Return the checkpoint for predictions: a checkpoint file itself, or that of a run's folder or a published model.

    Args:
        path: The file or folder; ``hub:<owner>/<name>`` is a published model on the Hub, ``toy`` the one of this package.

    Raises:
        RunError: If there is none, or the run has several folds.
        ConfigError: If the Hub has no such model.
    """
    if str(path) == TOY_NAME and not Path(path).exists():
        return TOY_FILE
    file = downloaded(str(path)) if str(path).startswith(HUB) else Path(path).expanduser()
    if file.is_file():
        return file
    published = any((file / name).is_file() for name in (FACTS, WEIGHTS))
    return file / FACTS if published else RunFolder(file).checkpoint


def models_of(path: str | Path, folds: str | None = None) -> Path | list[Path]:
    """Return the checkpoint of `checkpoint_of`, or with ``folds="average"`` those of all folds of a run.

    Raises:
        ConfigError: If ``folds`` is something else.
        RunError: As for `checkpoint_of`.
    """
    if folds is None:
        return checkpoint_of(path)
    if folds != AVERAGE:
        raise ConfigError(
            f"folds must be {AVERAGE} or null; got {folds!r}. For one fold, give its folder as the model."
        )
    found = [fold.checkpoint for fold in RunFolder(Path(path)).folds]
    return found if len(found) > 1 else found[0]


def new_folder(runs: Path, name: str) -> Path:
    """Make ``runs/<name>-<date>-<time>``, followed by a number if it exists."""
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in range(1000):
        folder = runs / (stem if not number else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise RunError(f"{runs} must have a free name for {stem}; got none in a thousand. Start the run again.")


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the settings that identify a run to ``config.yaml``; its launch and its paths to ``machine.json``."""
    from omegaconf import OmegaConf

    kept = essential(config)
    launch = {key: value for key, value in config.items() if key not in kept}
    trainer, kept_trainer = config.get("trainer") or {}, kept.get("trainer") or {}
    launch["trainer"] = {key: value for key, value in trainer.items() if key not in kept_trainer}
    write_text(OmegaConf.to_yaml(OmegaConf.create(kept)), folder / CONFIG)
    write_json({"launch": launch, "places": places(config)}, folder / MACHINE)
