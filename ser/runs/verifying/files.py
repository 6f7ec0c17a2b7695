"""Checks that need the files of a run alone: do its card, numbers, predictions and splits agree?"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ser.errors import RunError
from ser.evaluation.measure import measure_in, measure_of
from ser.evaluation.predictions import scale_of
from ser.evaluation.profile import profile
from ser.evaluation.summary import differences, summarise
from ser.protocols.split import SIDES, Split
from ser.protocols.split_file import read_splits
from ser.report.format import writer
from ser.runs.card import LATER_FACTS, config_of, describe, hashes
from ser.runs.folder import CARD, DEV_PREDICTIONS, HISTORY, LARGE, METRICS, PREDICTIONS, PROFILE, SPLIT, RunFolder
from ser.runs.identity import essential
from ser.runs.results import pooled_stamps, untested
from ser.runs.verifying.check import UncheckedError, refuse
from ser.runtime.migration import migrated_config, moved_targets
from ser.runtime.words import and_more

TABLES = {PREDICTIONS: "test", DEV_PREDICTIONS: "dev"}
"""The tables, and the side of the split that each is of."""
LATER_SCORES = ("multilabel_f1", "multilabel_f1_interval", "multilabel_f1_of_mean_votes")
"""Scores against votes that profiles of earlier versions lack."""
SAME_SCORE, SAME_FIT = 1e-9, 1e-6
"""Tolerances of recomputed numbers: of sums in another order, and of fits by another version of an optimiser."""
ROUNDED = 0.02
"""How far the dev score of a training in half precision may be from that of the stored predictions."""


def _stored_card(run: RunFolder) -> dict[str, Any]:
    if (card := run.card) is None:
        raise RunError(f"There is no {run.path / CARD}, which every finished run has.")
    return card


def verify_card(run: RunFolder) -> str:
    """Check that the card agrees with the run's files."""
    stored = _stored_card(run)
    hashed, schema, config = stored.pop("files"), stored.pop("schema"), stored["config"]
    stored["config"] = None if config is None else essential(migrated_config(moved_targets(config)))
    again = describe(run, stored["when"], stored["left_out"], config_of(run) or stored["config"])
    again.pop("schema")
    if schema == 1:  # its title could include a path, and its folds had their own cards
        again["title"] = stored["title"]
        again["training"].pop("folds", None)
    for corpus in (*stored["corpora"], *again["corpora"]):
        for fact in LATER_FACTS:
            corpus.pop(fact, None)
    refuse(differences(stored, again, 0.0), f"{CARD} differs from the run's files")
    return f"agrees with the run's {len(hashed)} files"


def verify_files(run: RunFolder) -> str:
    """Check that no file was changed after the card was written; weights, pages and pictures may be left out."""
    stored = _stored_card(run)
    then, now = stored["files"], hashes(run, stored["schema"])
    absent = [name for name in sorted(then) if name not in now]
    changed = [f"{name} (gone)" for name in absent if not name.endswith(LARGE)]
    changed += [name for name in sorted(then) if name in now and then[name] != now[name]]
    changed += [f"{name} (new)" for name in sorted(set(now) - set(then))]
    if changed:
        raise RunError(f"Changed after the card was written, by the SHA-256: {', '.join(changed)}.")
    if absent:
        raise UncheckedError(f"the SHA-256 of {len(now)} files agree; absent: {and_more(absent, 1)}")
    return f"the SHA-256 of {len(then)} files"


def verify_numbers(run: RunFolder) -> str:
    """Check that the predictions give every number of the metrics."""
    stored = {key: value for key, value in run.metrics.items() if key != "run"}
    again = summarise(run.predictions)
    tolerance = SAME_SCORE * scale_of(run.predictions)
    refuse(differences(stored, again, tolerance), f"{METRICS} differs from what {PREDICTIONS} gives")
    measure = measure_in(again)
    score = writer(measure)(again[measure.key])
    return f"the predictions give a {measure.name} of {score} and all other numbers in {METRICS}"


def verify_profile(run: RunFolder) -> str:
    """Check that the predictions give every number of the profile."""
    if (stored := run.profile) is None:
        raise UncheckedError(f"the run has no {PROFILE}")
    dev = run.dev_predictions if run.has(DEV_PREDICTIONS) else None
    again = json.loads(json.dumps(profile(run.predictions, dev)))
    for score in LATER_SCORES:
        if score not in stored.get("soft", {}):
            again.get("soft", {}).pop(score, None)
    refuse(differences(stored, again, SAME_FIT), f"{PROFILE} differs from what the predictions give")
    return f"the predictions give all numbers in {PROFILE}"


def verify_split(run: RunFolder) -> str:
    """Check that the file of splits has the run's hashes and lists the scored utterances."""
    if not (stored := run.split_file):
        raise UncheckedError(f"the run has no {SPLIT}")
    ids = pd.Series(sorted({id_ for fold in stored["folds"] for side in SIDES for id_ in fold[side]}), name="id")
    splits = read_splits(run.path / SPLIT, ids.to_frame())  # checks the hashes in the file
    hashes_ = {split.fold: split.hash(ids.to_frame()) for split in splits}
    if hashes_ != run.splits:
        raise RunError(f"{SPLIT} has the folds {hashes_}, but {METRICS} has {run.splits}.")
    found = [finding["stamp"] for finding in run.audit or [] if finding["stamp"]]
    found += [stamp for split in splits for stamp in split.stamps]
    _refuse_without_stamps(run.about, pooled_stamps(found, untested(run.metrics)))
    for name, side in TABLES.items():
        if run.has(name):
            _refuse_other_utterances(run.table(name), splits, ids, name, side)
    return f"{', '.join(hashes_.values())}: the scored utterances are those of the split"


def _refuse_without_stamps(about: Mapping[str, Any], stamps: Iterable[str]) -> None:
    """Raise if a stamp is missing; a stored stamp may continue with the share of clips that it concerns."""
    for stamp in stamps:
        if not any(said.startswith(stamp) for said in about["stamps"]):
            raise RunError(f"{METRICS} does not have a stamp that the result must carry: {stamp}.")


def _refuse_other_utterances(
    table: pd.DataFrame, splits: Sequence[Split], ids: pd.Series, name: str, side: str
) -> None:
    """Raise unless a table has the utterances of one side of each fold."""
    scored = set(zip(table["fold"].astype(int), table["utterance"], strict=True))
    listed = {(split.fold, id_) for split in splits for id_ in ids.iloc[split.sides()[side]]}
    if apart := sorted(scored ^ listed):
        fold, id_ = apart[0]
        raise RunError(
            f"{name} and the {side} side of {SPLIT} differ in {len(apart)} utterances: {id_} of fold {fold} is in "
            f"{name if apart[0] in scored else SPLIT} alone."
        )


def verify_pooling(run: RunFolder) -> str:
    """Check that the pooled predictions are those of all folds in their order."""
    each = [fold.splits for fold in run.folds]
    if each != [{fold: split_hash} for fold, split_hash in run.splits.items()]:
        raise RunError(f"{METRICS} pools the folds {run.splits}, but the folders have {each}.")
    for name in TABLES:
        if run.has(name):
            joined = pd.concat([fold.table(name) for fold in run.folds], ignore_index=True)
            if not run.table(name).equals(joined):
                raise RunError(f"{name} differs from the concatenated tables of the {len(run.folds)} folds.")
    folds = len(run.folds)
    return "the predictions of the fold" if folds == 1 else f"the predictions of {folds} folds in their order"


def verify_selection(fold: RunFolder) -> str:
    """Check that the dev predictions give the dev score that the fold was selected by."""
    if not fold.has(DEV_PREDICTIONS):
        raise UncheckedError(f"the run has no {DEV_PREDICTIONS}")
    measure = measure_of(fold.dev_predictions)
    if measure.dev not in fold.about:
        raise UncheckedError(f"{METRICS} has no {measure.dev}")
    said, again = float(fold.about[measure.dev]), measure.main(fold.dev_predictions)
    apart = abs(said - again)
    if apart > SAME_FIT:
        if apart <= ROUNDED and _measured_in_training(fold, measure.dev, said):
            raise UncheckedError(
                f"{measure.dev} was measured in the precision of the training, not on {DEV_PREDICTIONS}"
            )
        raise RunError(f"{METRICS} has a {measure.dev} of {said:.6f}, but {DEV_PREDICTIONS} gives {again:.6f}.")
    return f"the dev predictions give the {measure.dev} of {said:.4f}"


def _measured_in_training(fold: RunFolder, key: str, said: float) -> bool:
    """Whether the history of the training has a score at the best epoch, as runs of earlier versions store it."""
    if not fold.has(HISTORY):
        return False
    history = fold.history.set_index("epoch")
    return bool(abs(history[key][fold.about["best_epoch"]] - said) <= SAME_FIT)
