"""Speech emotion recognition with speaker-independent splits, intervals and fast sweeps.

The functions here do what the commands of the same names do (``python -m ser.train``, ...). Overrides are written as there,
or as keywords: ``ser.train("trainer.max_epochs=3")`` is ``ser.train(trainer={"max_epochs": 3})``.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ser.runtime.packages import packages_named
from ser.runtime.telemetry import send_no_telemetry
from ser.runtime.user import ensure_user_name

if TYPE_CHECKING:
    import pandas as pd

    from ser.inference.predictor import Predictor
    from ser.runs.folder import RunFolder

send_no_telemetry()
ensure_user_name()  # before anything imports torch's compiler
__version__ = "0.1.0"
__all__ = ["audit", "compare", "evaluate", "load", "prepare", "train", "verify"]


@packages_named()
def prepare(*overrides: str, **settings: Any) -> "pd.DataFrame":
    """Find, check and decode corpora, as ``python -m ser.prepare``.

    Returns:
        A row a corpus: its clips, speakers, hours, files with problems, and the folder and fingerprint of its store.
    """
    import pandas as pd

    from ser.prepare import prepare_corpora, store_summary
    from ser.runtime.composition import composed, written

    stores = prepare_corpora(composed("prepare", written(overrides, settings)))
    return pd.DataFrame(map(store_summary, stores))


@packages_named()
def train(*overrides: str, **settings: Any) -> "RunFolder":
    """Train a model and test it on speakers who are not in the training set, as ``python -m ser.train``.

    Returns:
        The run: ``.metrics``, ``.predictions``, ``.folds``, ...
    """
    from ser.runs.folder import RunFolder
    from ser.runtime.composition import composed, written
    from ser.training.experiment import run

    return RunFolder(run(composed("train", written(overrides, settings))))


@packages_named()
def evaluate(run: str | Path | None = None, *overrides: str, **settings: Any) -> "RunFolder":
    """Recompute a run's numbers, or score it as a suite says, as ``python -m ser.evaluate``.

    Args:
        run: The run's folder; ``None`` with ``model="hf:<owner>/<name>"``, a model of others.
        overrides: As on the command line.
        settings: As keywords.

    Raises:
        RunError: If a number of the run differs.
    """
    from ser.evaluate import evaluated
    from ser.runs.folder import RunFolder
    from ser.runtime.composition import composed, written

    named = {} if run is None else {"run": str(run)}
    return RunFolder(evaluated(composed("evaluate", written(overrides, {**named, **settings}))))


@packages_named()
def audit(*overrides: str, **settings: Any) -> "pd.DataFrame":
    """Report what the sides of a split share, as ``python -m ser.audit``.

    Returns:
        A row a finding, with its fold; errors are those that training refuses.
    """
    import pandas as pd

    from ser.audit import audited
    from ser.runtime.composition import composed, written

    _, findings = audited(composed("audit", written(overrides, settings)))
    columns = ["fold", "level", "kind", "text", "stamp", "clips"]
    found = [{"fold": fold, **finding.plain()} for fold, several in findings.items() for finding in several]
    return pd.DataFrame(found, columns=columns)


@packages_named()
def compare(
    *folders: str | Path, baseline: str | None = None, equivalent: float | None = None, out: str | Path | None = None
) -> "pd.DataFrame":
    """Compare runs, as ``python -m ser.compare``.

    Args:
        folders: Of runs, or with runs below them; and tables of predictions from elsewhere.
        baseline: A system of the table; the one with the fewest parameters by default.
        equivalent: Points of UAR (hundredths of CCC) within which systems are tested for being equal, too; the answers are in
            ``pairs.csv`` and on the page, so that it takes ``out``.
        out: Where to write the tables, the tests, the pictures and the page; nothing is written by default.

    Returns:
        A row a system: its scores and their intervals.

    Raises:
        ConfigError: If ``equivalent`` is given without ``out``, or is out of range.
    """
    from tempfile import TemporaryDirectory

    import pandas as pd

    from ser.comparison import leaderboard, systems, tables
    from ser.errors import ConfigError

    if equivalent is not None and out is None:
        raise ConfigError("out must be a folder where equivalent is given; got None. Set out=compared.")
    paths = [Path(folder).expanduser() for folder in folders]
    if out is None:
        with TemporaryDirectory() as made:
            found = systems.find_with_tables(paths, Path(made))
            return tables.frame(leaderboard.rank_systems(*found, baseline)[0])
    written = leaderboard.compare(paths, baseline, Path(out).expanduser(), equivalent)
    return pd.read_csv(written / "comparison.csv")


@packages_named()
def verify(
    run: str | Path, corpora: str | None = None, stores: str | None = None, *, rescore: bool = False
) -> "pd.DataFrame":
    """Check a run against its card, predictions, splits, checkpoints and corpora, as ``python -m ser.verify``.

    Args:
        run: The run's folder, or the ``card.json`` in it.
        corpora: Where the corpora are; where the run found them by default.
        stores: Where prepared corpora are kept.
        rescore: Score the checkpoints again, and compare the predictions.

    Returns:
        A row a check. ``ok`` is ``None`` where it cannot be made.
    """
    import pandas as pd

    from ser.rescoring.verified import verified

    return pd.DataFrame(verified(Path(run).expanduser(), corpora, stores, rescore=rescore)).astype({"ok": object})


def load(path: str | Path = "toy", device: str = "cpu", folds: str | None = None) -> "Predictor":
    """Load the trained model of a run's folder, of a checkpoint, or of a file of ``python -m ser.export``.

    The folder of ``python -m ser.publish`` is loaded, too, and from the Hugging Face Hub ``hub:<owner>/<name>``, with
    ``@<revision>`` if that is not the newest: neither runs code.

    See `ser.inference.load.load`. A model in ONNX needs no PyTorch.

    Args:
        path: The folder or the file; without one it is a toy, trained on synthetic speech, to try things out.
        device: ``cpu``, ``cuda``, ``cuda:<index>``; ``auto`` is a GPU if there is one.
        folds: ``average`` has the models of all folds of a run answer together, by their mean.
    """
    from ser.inference.load import load as load_model
    from ser.runs.folder import models_of

    return load_model(models_of(path, folds), device)


class _Package(ModuleType):
    """Keep ``ser.train`` the function, also where the module that ``python -m ser.train`` runs is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in __all__):
            super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Package
