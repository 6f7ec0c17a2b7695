"""The checks of a finished run, and whether its checkpoints give its predictions when they are scored again."""

from pathlib import Path

from ser.rescoring.recompute import LOADING, check_same_predictions
from ser.runs.folder import BEST, RunFolder
from ser.runs.verification import run_of, verify
from ser.runs.verifying.check import Check, UncheckedError, attempt
from ser.runs.verifying.derived import derive
from ser.runtime.words import counted

NOT_ASKED = "give --rescore to score the checkpoints again: nothing else shows that they gave the predictions"


def verified(
    target: Path, corpora: str | None = None, stores: str | None = None, *, rescore: bool = False
) -> list[Check]:
    """Return the checks of `ser.runs.verification.verify`, and that of the predictions by the checkpoints.

    Args:
        target: See there, as for ``corpora`` and ``stores``.
        corpora: See there.
        stores: See there.
        rescore: Score the checkpoints again on the test speakers; otherwise the predictions are not checked.

    Raises:
        UncheckedError: If there are no predictions.
    """
    checks = verify(target, corpora, stores, costly=rescore)
    return [*checks, attempt("predictions", _predictions, run_of(target), corpora, stores, rescore)]


def _predictions(run: RunFolder, corpora: str | None, stores: str | None, rescore: bool) -> str:
    if absent := [fold for fold in run.folds if not fold.has(BEST)]:
        raise UncheckedError(f"there is no {BEST} in {absent[0].path.name}")
    if not rescore:
        raise UncheckedError(NOT_ASKED)
    from ser.inference.load import load_model
    from ser.inference.score import score
    from ser.training.build import build_data

    derived = derive(run, corpora, stores)
    for fold in run.folds:
        (number,) = fold.splits
        data = build_data({**LOADING, **derived.config}, derived.plan, number)
        again = score(load_model(fold.checkpoint), data, data.split.test)
        check_same_predictions(fold.predictions, again, fold)
    return f"the checkpoints give those of {counted(len(run.predictions), 'test clip')}"
