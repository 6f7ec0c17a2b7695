"""Checks that need the corpora of a run: facts, stamps, the audit, and that no fold is missing or tested twice."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from ser.errors import RunError
from ser.evaluation.facts import facts_table, votes_of
from ser.evaluation.predictions import answer_columns, classes, is_numeric
from ser.evaluation.summary import differences
from ser.protocols.split import Split
from ser.runs.folder import AUDIT, METRICS, RunFolder
from ser.runs.results import pooled, untested
from ser.runs.verifying.check import UncheckedError, refuse
from ser.runs.verifying.derived import Derived
from ser.runs.verifying.files import SAME_SCORE, TABLES
from ser.runtime.help_page import CHANGED
from ser.runtime.words import and_more, counted

LATER = ("folds", "without_listening")
"""Facts that runs of earlier versions do not have."""


def verify_corpus(run: RunFolder, derived: Derived) -> str:
    """Check that the corpora give the run's fingerprint, protocol, splits, baselines and every fact about an utterance."""
    absent: set[str] = set()
    for part, expected in _parts(run, derived):
        expected.pop("stamps")
        if _is_earlier(run) and expected["protocol"] == part.about["protocol"] + CHANGED:
            expected.pop("protocol")
            absent.add("whether the protocol was changed")
        absent |= {fact for fact in LATER if fact not in part.about}
        said = {key: part.about.get(key) for key in expected if key not in absent}
        given = {key: value for key, value in expected.items() if key not in absent}
        what = f"{part.path.name}/{METRICS} differs from the corpora and settings on disk"
        refuse(differences(said, given, SAME_SCORE), what)
    for fold in run.folds:
        (number,) = fold.splits
        for name, side in TABLES.items():
            if fold.has(name):
                rows = derived.plan.splits[number].sides()[side]
                _refuse_other_facts(fold.table(name), _facts(derived, rows, number), f"{fold.path.name}/{name}")
    if absent:
        raise UncheckedError(f"a run of an earlier version does not say {', '.join(sorted(absent))}; the rest agrees")
    return f"{derived.plan.fingerprint}: gives the same speakers, targets, facts and splits"


def verify_stamps(run: RunFolder, derived: Derived) -> str:
    """Check that the run has the stamps that its corpora, splits, audit and settings give, and no others."""
    for part, expected in _parts(run, derived):
        where = f"{part.path.name}/{METRICS}"
        said = {stamp for stamp in part.about["stamps"] if not (derived.stated and stamp.startswith(derived.stated))}
        if missing := sorted(set(expected["stamps"]) - said):
            raise RunError(f"{where} does not have a stamp that the result must carry: {and_more(missing)}.")
        if more := sorted(said - set(expected["stamps"])):
            raise RunError(f"{where} has a stamp that nothing gives: {and_more(more)}.")
    shown = list(dict.fromkeys(run.about["stamps"]))
    return f"{and_more(shown, len(shown))}: as the data and the settings give" if shown else "none, as the data give"


def verify_audit(run: RunFolder, derived: Derived) -> str:
    """Check that the stored findings are those of an audit of the same splits."""
    numbers = [number for fold in run.folds for number in fold.splits]
    earlier, later = _is_earlier(run), list[str]()
    for part in dict.fromkeys([run, *run.folds]):
        if (stored := part.audit) is None:
            raise UncheckedError(f"the run has no {part.path.name}/{AUDIT}")
        expected = [found for number in (numbers if part is run else part.splits) for found in derived.audit(number)]
        if earlier:
            stored, expected = ([{**found, "text": ""} for found in every] for every in (stored, expected))
        lacking = [found for found in expected if found not in stored]
        if lacking and len(stored) + len(lacking) == len(expected) and all(f["level"] == "note" for f in lacking):
            later.append(f"{part.path.name} lacks {counted(len(lacking), 'note')} that audits have now")
            expected = [found for found in expected if found in stored]
        refuse(differences(stored, expected), f"{part.path.name}/{AUDIT} differs from an audit of the splits")
    if derived.plan.policy == "refuse":
        errors = [f.text for number in numbers for f in derived.findings[number] if f.level == "error"]
        if errors:
            raise RunError(f"Training refuses a split with such an error: {errors[0]}")
    if later:
        raise UncheckedError(f"{later[0]}; the rest agrees")
    if earlier:
        raise UncheckedError("version 0.1 had other sentences for its findings; the rest agrees")
    return f"{counted(len(run.audit or []), 'finding')}, the same as in an audit of the splits"


def verify_folds(run: RunFolder, derived: Derived) -> str:
    """Check that the run has the folds that it asks for, and tests each utterance as often as they do."""
    splits, asked = derived.plan.splits, derived.config.get("fold")
    here = sorted(number for fold in run.folds for number in fold.splits)
    if run is run.whole and type(asked) is int and here != [asked]:
        raise RunError(f"The settings ask for fold {asked}, but the run has {and_more([str(n) for n in here])}.")
    ids = derived.plan.labelled.manifest["id"]
    expected = _times(id_ for number in here for id_ in ids.iloc[splits[number].test])
    tested = _times(run.predictions["utterance"])
    if wrong := sorted(id_ for id_ in tested.keys() | expected.keys() if tested.get(id_) != expected.get(id_)):
        times = f"{tested.get(wrong[0], 0)} times, but {expected.get(wrong[0], 0)} times under the protocol"
        raise RunError(f"{counted(len(wrong), 'utterance')} are tested too often or never: {wrong[0]} {times}.")
    return f"{len(here)} of {len(splits)}; {_coverage(splits, ids)}"


def _is_earlier(run: RunFolder) -> bool:
    """Whether the card is of version 0.1; one that cannot be read is another check's."""
    try:
        return (run.card or {}).get("schema") == 1
    except RunError:
        return False


def _times(ids: Iterable[str]) -> dict[str, int]:
    return {str(id_): int(count) for id_, count in pd.Series(list(ids)).value_counts().items()}


def _coverage(splits: Iterable[Split], ids: pd.Series) -> str:
    """Return how often the folds of a protocol test each utterance, in words."""
    times = np.zeros(len(ids), dtype=int)
    for split in splits:
        times[split.test] += 1
    never, often = int((times == 0).sum()), int((times > 1).sum())
    if not (never or often):
        return "all folds together test each utterance once"
    return f"all folds together test {never} of {len(ids)} utterances never and {often} several times, as the protocol has it"


def _parts(run: RunFolder, derived: Derived) -> list[tuple[RunFolder, dict[str, Any]]]:
    """Return the run and each of its folds, with the facts that its metrics must have."""
    of = [(fold, derived.about(number)) for fold in run.folds for number in fold.splits]
    if run in run.folds:
        return of
    each = [{**about, "train_seconds": 0.0} for _, about in of]
    whole = pooled(each, untested(run.metrics), every=run.asks_for_every_fold)
    whole.pop("train_seconds")
    return [(run, whole), *of]


def _facts(derived: Derived, rows: np.ndarray, fold: int) -> pd.DataFrame:
    labelled = derived.plan.labelled
    return facts_table(labelled, rows, fold).assign(**votes_of(labelled, rows))


def _refuse_other_facts(table: pd.DataFrame, facts: pd.DataFrame, name: str) -> None:
    """Raise unless a table has all facts of its utterances, and no others."""
    if strange := sorted(set(table["utterance"]) ^ set(facts["utterance"])):
        raise RunError(f"{name}: {len(strange)} utterances are not those of the split, such as {strange[0]}.")
    said = table.drop(columns=answer_columns(classes(table), numeric=is_numeric(table)))
    if list(said.columns) != list(facts.columns):
        apart = sorted(set(said.columns) ^ set(facts.columns))
        raise RunError(f"{name} must have the columns of the corpus; got a difference in {and_more(apart) or 'order'}.")
    expected = facts.set_index("utterance", drop=False).loc[table["utterance"]]
    for column in facts:
        one, other = (
            source[column].astype(object).fillna("unknown").to_numpy(dtype=str) for source in (said, expected)
        )
        if (different := one != other).any():
            row = int(different.argmax())
            raise RunError(
                f"{name}: the {column} of {table['utterance'].iloc[row]} is {one[row]}, but the corpus gives "
                f"{other[row]} ({int(different.sum())} such rows)."
            )
