"""The checks of a finished run: do its card, numbers, predictions, splits, checkpoints and corpora agree?

They show that the files of a run belong together, and that its numbers, stamps and audit follow from its predictions and its
corpora. They are no signature: who can write every file, checkpoints too, can write what passes. Whether the checkpoints give
the predictions shows when they are scored again, which `ser.rescoring.verified` does.
"""

from collections.abc import Callable
from pathlib import Path

from ser.runs.folder import CARD, PREDICTIONS, RunFolder
from ser.runs.verifying import data, files, weights
from ser.runs.verifying.check import Check, UncheckedError, attempt
from ser.runs.verifying.derived import Derived, derive

__all__ = ["Check", "UncheckedError", "run_of", "verify"]

OF_CORPUS: tuple[Callable[[RunFolder, Derived], str], ...] = (
    data.verify_corpus,
    data.verify_stamps,
    data.verify_audit,
    data.verify_folds,
)
"""Checks of a whole run that need its corpora; the first names what is absent."""


def verify(target: Path, corpora: str | None = None, stores: str | None = None, *, costly: bool = False) -> list[Check]:
    """Check a run against its card, predictions, splits, checkpoints and, if it is on disk, its corpus.

    Args:
        target: The folder of a run or of a fold, or the ``card.json`` in it.
        corpora: Folder of the corpora; ``None``: where the run found them, or else the default folder.
        stores: Folder of the prepared waveform stores; a corpus that is not in it is prepared first.
        costly: Whether to compute again what takes long, such as the features of a pretrained encoder.

    Returns:
        All checks, including those that were not possible.

    Raises:
        UncheckedError: If there are no predictions, without which nothing can be recomputed.
    """
    run = run_of(target)
    below = [fold for fold in run.folds if fold is not run]
    checks = [
        attempt(_name(check), check, run)
        for check in (
            files.verify_card,
            files.verify_files,
            files.verify_numbers,
            files.verify_profile,
            files.verify_split,
        )
    ]
    for fold in below:
        # In version 0.1 each fold of several had a card.
        own = (files.verify_card, files.verify_files, files.verify_profile) if fold.has(CARD) else ()
        checks += [_of_fold(run, fold, check) for check in (*own, files.verify_numbers, files.verify_split)]
    if below:
        checks.append(attempt("pooling", files.verify_pooling, run))
    checks += [
        _of_fold(run, fold, check)
        for fold in run.folds
        for check in (files.verify_selection, weights.verify_checkpoint)
    ]
    return [*checks, *_with_corpora(run, corpora, stores, costly)]


def run_of(target: Path) -> RunFolder:
    """Return the run that a path names: that of a fold, where a card covers all of them.

    Raises:
        UncheckedError: If there are no predictions.
    """
    run = RunFolder((target.parent if target.is_file() else target).resolve())
    if not run.has(CARD) and run.whole.has(CARD):
        run = run.whole  # whose card covers its folds
    if not run.has(PREDICTIONS):
        raise UncheckedError(
            f"Nothing can be recomputed: there is no {PREDICTIONS} in {run.path}. Give the folder of a finished run, "
            f"or the {CARD} in it."
        )
    return run


def _with_corpora(run: RunFolder, corpora: str | None, stores: str | None, costly: bool) -> list[Check]:
    """Make the checks that need the corpora; where these are absent, or cannot be used, the first check says why."""
    first, *_ = OF_CORPUS
    derived: list[Derived] = []

    def opened() -> str:
        derived.append(derive(run, corpora, stores))
        return first(run, derived[0])

    checks = [attempt(_name(first), opened)]
    later = [(_name(check), check) for check in OF_CORPUS[1:]]
    folds = [(_label(run, fold, weights.verify_statistics), fold) for fold in run.folds]
    if not derived:
        absent = f"not checked: see {_name(first)}"
        return [*checks, *(Check(name, None, absent) for name, _ in (*later, *folds))]
    checks += [attempt(name, check, run, derived[0]) for name, check in later]
    return checks + [attempt(name, weights.verify_statistics, fold, derived[0], costly) for name, fold in folds]


def _of_fold(run: RunFolder, fold: RunFolder, check: Callable[[RunFolder], str]) -> Check:
    return attempt(_label(run, fold, check), check, fold)


def _label(run: RunFolder, fold: RunFolder, check: Callable[..., str]) -> str:
    return _name(check) if fold is run else f"{fold.name} {_name(check)}"


def _name(check: Callable[..., str]) -> str:
    return check.__name__.removeprefix("verify_")
