"""The checks of a finished run: do its card, numbers, predictions, split and corpus agree?

They show that the files of a run belong together and were not changed. They are no signature: a card can be written for
invented predictions. Scoring the checkpoint again reveals that: ``python -m ser.evaluate run=... rescore=true``.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ser.errors import CorpusNotFoundError, RunError, SerError
from ser.evaluation.measure import measure_in
from ser.evaluation.predictions import further_groups, scale_of, target_columns
from ser.evaluation.profile import profile
from ser.evaluation.summary import Difference, differences, summarise
from ser.protocols.plan import planned
from ser.protocols.split import SIDES, Split
from ser.protocols.split_file import read_splits
from ser.report.format import writer
from ser.runs.card import LATER_FACTS, config_of, describe, hashes
from ser.runs.folder import CARD, CONFIG, DEV_PREDICTIONS, METRICS, PREDICTIONS, PROFILE, SPLIT, RunFolder
from ser.runs.identity import essential
from ser.runs.results import pooled_stamps, untested
from ser.runtime.conf_dir import conf_dir
from ser.runtime.migration import migrated_config, moved_targets
from ser.runtime.words import and_more

TABLES = {PREDICTIONS: "test", DEV_PREDICTIONS: "dev"}
"""The tables, and the side of the split that each is of."""
SAME_SCORE, SAME_FIT = 1e-9, 1e-6
"""Tolerances of recomputed numbers: of sums in another order, and of fits by another version of an optimiser."""
SHOWN = 3
"""Number of differences that a check lists."""


class Check(NamedTuple):
    """A check: its name, whether it holds (``None`` if it was not possible), and the detail."""

    name: str
    ok: bool | None
    detail: str


class UncheckedError(RunError):
    """A check is not possible, as something that it needs is absent."""


class Found(NamedTuple):
    """The facts that the corpora on disk give for a run's configuration.

    Attributes:
        about: The expected facts of the ``run`` entry in the metrics.
        rows: The manifest by utterance, with its targets as a predictions table has them.
        hashes, stamps: The split's hash and the stamps of each fold, by its number as text.
    """

    about: dict[str, Any]
    rows: pd.DataFrame
    hashes: dict[str, str]
    stamps: dict[str, tuple[str, ...]]


def verify(target: Path, corpora: str | None = None, stores: str | None = None) -> list[Check]:
    """Check a run against its card, predictions, split and, if it is on disk, its corpus.

    Args:
        target: The folder of a run or of a fold, or the ``card.json`` in it.
        corpora: Folder of the corpora; ``None``: where the run found them, or else the default folder.
        stores: Folder of the prepared waveform stores; a corpus that is not in it is prepared first.

    Returns:
        All checks, including those that were not possible.

    Raises:
        UncheckedError: If there are no predictions, without which nothing can be recomputed.
    """
    run = RunFolder((target.parent if target.is_file() else target).resolve())
    if not run.has(CARD) and run.whole.has(CARD):
        run = run.whole  # whose card covers its folds
    if not run.has(PREDICTIONS):
        raise UncheckedError(
            f"Nothing can be recomputed: there is no {PREDICTIONS} in {run.path}. Give the folder of a finished run, "
            f"or the {CARD} in it."
        )
    below = [fold for fold in run.folds if fold is not run]
    checks = [_try(_name(check), check, run) for check in (_card, _files, _numbers, _profile, _split)]
    for fold in below:
        # In version 0.1 each fold of several had a card.
        own = (_card, _files, _numbers, _profile, _split) if fold.has(CARD) else (_numbers, _split)
        checks += [_try(f"{fold.name} {_name(check)}", check, fold) for check in own]
    if below:
        checks.append(_try("pooling", _pooling, run))
    checks.append(_try("corpus", _corpus, run, corpora, stores))
    return checks


def _name(check: Callable[..., str]) -> str:
    return check.__name__.removeprefix("_")


def _try(name: str, check: Callable[..., str], *arguments: Any) -> Check:
    try:
        return Check(name, True, check(*arguments))
    except (UncheckedError, CorpusNotFoundError) as error:
        return Check(name, None, f"not checked: {str(error).splitlines()[0]}")
    except SerError as error:
        return Check(name, False, str(error))
    except (AttributeError, IndexError, KeyError, OSError, TypeError, ValueError) as error:
        malformed = f"A file does not have the form that a run writes, so it cannot be checked: {error!r}."
        return Check(name, False, malformed)


def _stored_card(run: RunFolder) -> dict[str, Any]:
    if (card := run.card) is None:
        raise RunError(f"There is no {run.path / CARD}, which every finished run has.")
    return card


def _card(run: RunFolder) -> str:
    """Check that the card agrees with the run's files."""
    card = _stored_card(run)
    files, schema, config = card.pop("files"), card.pop("schema"), card["config"]
    card["config"] = None if config is None else essential(migrated_config(moved_targets(config)))
    again = describe(run, card["when"], card["left_out"], config_of(run) or card["config"])
    again.pop("schema")
    if schema == 1:  # its title could include a path, and its folds had their own cards
        again["title"] = card["title"]
        again["training"].pop("folds", None)
    for corpus in (*card["corpora"], *again["corpora"]):
        for fact in LATER_FACTS:
            corpus.pop(fact, None)
    _refuse(differences(card, again, 0.0), f"{CARD} differs from the run's files")
    return f"agrees with the run's {len(files)} files"


def _files(run: RunFolder) -> str:
    """Check that no file was changed after the card was written."""
    card = _stored_card(run)
    then, now = card["files"], hashes(run, card["schema"])
    changed = [f"{name} (gone)" if name not in now else name for name in sorted(then) if then[name] != now.get(name)]
    changed += [f"{name} (new)" for name in sorted(set(now) - set(then))]
    if changed:
        raise RunError(f"Changed after the card was written, by the SHA-256: {', '.join(changed)}.")
    return f"the SHA-256 of {len(then)} files"


def _numbers(run: RunFolder) -> str:
    """Check that the predictions give every number of the metrics."""
    stored = {key: value for key, value in run.metrics.items() if key != "run"}
    again = summarise(run.predictions)
    tolerance = SAME_SCORE * scale_of(run.predictions)
    _refuse(differences(stored, again, tolerance), f"{METRICS} differs from what {PREDICTIONS} gives")
    measure = measure_in(again)
    score = writer(measure)(again[measure.key])
    return f"the predictions give a {measure.name} of {score} and all other numbers in {METRICS}"


def _profile(run: RunFolder) -> str:
    """Check that the predictions give every number of the profile."""
    if (stored := run.profile) is None:
        raise UncheckedError(f"the run has no {PROFILE}")
    dev = run.dev_predictions if run.has(DEV_PREDICTIONS) else None
    again = json.loads(json.dumps(profile(run.predictions, dev)))
    _refuse(differences(stored, again, SAME_FIT), f"{PROFILE} differs from what the predictions give")
    return f"the predictions give all numbers in {PROFILE}"


def _split(run: RunFolder) -> str:
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


def _pooling(run: RunFolder) -> str:
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


def _corpus(run: RunFolder, corpora: str | None, stores: str | None) -> str:
    """Check that the corpora on disk give the run's fingerprint, labels, stamps, splits and facts about every utterance."""
    config = run.settings if run.whole.has(CONFIG) else (run.card or {}).get("config")
    if config is None:
        raise UncheckedError(f"the run has no {CONFIG}, which names its corpora")
    found = _find(config, corpora, stores)
    for part in dict.fromkeys([run, *run.folds]):
        where = f"{part.path.name}/{METRICS}"
        said = {key: part.about[key] for key in found.about}
        _refuse(differences(said, found.about, 0.0), f"{where} differs from the corpora and settings on disk")
        for fold, split_hash in part.about["splits"].items():
            if split_hash != found.hashes.get(fold):
                raise RunError(
                    f"Fold {fold} has the split {split_hash}, but the protocol gives {found.hashes.get(fold)}."
                )
            _refuse_without_stamps(part.about, found.stamps[fold])
        for name in TABLES:
            if part.has(name):
                _refuse_other_facts(part.table(name), found.rows, f"{part.path.name}/{name}")
    return f"{found.about['fingerprint']}: gives the same speakers, targets and splits"


def _refuse_other_facts(table: pd.DataFrame, rows: pd.DataFrame, name: str) -> None:
    """Raise unless the corpus and the table agree on every utterance."""
    if strange := sorted(set(table["utterance"]) - set(rows.index)):
        raise RunError(f"{name}: {len(strange)} utterances are not in the corpora on disk, such as {strange[0]}.")
    expected = rows.loc[table["utterance"]]
    for column in ("corpus", "speaker", "sex", "sentence", *target_columns(table), *further_groups(table)):
        said, given = (
            source[column].astype(object).fillna("unknown").to_numpy(dtype=str) for source in (table, expected)
        )
        if (other := said != given).any():
            row = int(other.argmax())
            raise RunError(
                f"{name}: the {column} of {table['utterance'].iloc[row]} is {said[row]}, but the corpus gives "
                f"{given[row]} ({int(other.sum())} such rows)."
            )


def _find(config: Mapping[str, Any], corpora: str | None, stores: str | None) -> Found:
    """Open or prepare the corpora of a configuration, and apply its labels and protocol."""
    from omegaconf import OmegaConf

    usual = OmegaConf.create({"paths": OmegaConf.load(Path(conf_dir(), "paths", "default.yaml"))}).paths
    here = {}
    for name, declared in config["data"]["corpora"].items():
        root = declared.get("root")  # None: inside the package
        moved = root and (corpora or not Path(root).expanduser().exists())
        here[name] = {**declared, **({"root": str(Path(corpora or usual.corpora, Path(root).name))} if moved else {})}
    paths = {**config.get("paths", {}), "stores": stores or usual.stores}
    plan = planned({**config, "data": {"corpora": here}, "paths": paths, "strict": False})
    manifest = plan.labelled.manifest
    about = {
        "corpora": list(plan.corpora),
        "fingerprint": plan.fingerprint,
        "labels": plan.describe_labels(),
        "protocol": plan.protocol,
        "seed": config["seed"],
    }
    return Found(
        about=about,
        rows=pd.concat([manifest, plan.labelled.columns()], axis="columns").set_index("id"),
        hashes={str(split.fold): split.hash(manifest) for split in plan.splits},
        stamps={str(split.fold): plan.stamps(split.fold) for split in plan.splits},
    )


def _refuse(changed: Sequence[Difference], what: str) -> None:
    if changed:
        places = [f"{d.path}: {_short(d.old)}, not {_short(d.new)}" for d in changed]
        raise RunError(f"{what}: {and_more(places, SHOWN)}.")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
