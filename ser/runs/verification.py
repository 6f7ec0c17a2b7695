"""The checks of a finished run: do its card, numbers, predictions, split and corpus say the same?

They show that what lies in a run's folder belongs together and was not changed since. They are no signature: who has made up
predictions can write a card for them. Scoring the checkpoint again shows that:
``python -m ser.evaluate run=... rescore=true``.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ser.errors import CorpusNotFoundError, RunError, SerError
from ser.evaluation.profile import profile
from ser.evaluation.summary import Difference, differences, summarise
from ser.protocols.plan import planned
from ser.protocols.split import SIDES, Split
from ser.protocols.split_file import read_splits
from ser.report.format import percent
from ser.runs.card import config_of, describe, hashes
from ser.runs.folder import CARD, CONFIG, DEV_PREDICTIONS, METRICS, PREDICTIONS, PROFILE, SPLIT, RunFolder
from ser.runs.identity import essential
from ser.runs.results import pooled_stamps, untested
from ser.runtime.conf_dir import conf_dir
from ser.runtime.migration import migrated_config, moved_targets
from ser.runtime.words import and_more

TABLES = {PREDICTIONS: "test", DEV_PREDICTIONS: "dev"}
"""The side of the split that each table is of."""
SAME_SCORE, SAME_FIT = 1e-9, 1e-6
"""How near a recomputed number is: of sums in another order; of what an optimiser fits, in another version of it."""
SHOWN = 3
"""Differences that a check spells out."""


class Check(NamedTuple):
    """Something that holds, that does not, or (``None``) that could not be checked; and why."""

    name: str
    ok: bool | None
    detail: str


class UncheckedError(RunError):
    """What a check needs is not here; nothing speaks against the run."""

    exit_code = 2


class Found(NamedTuple):
    """What the corpora on disk give under a run's configuration.

    Attributes:
        about: What metrics.json must then say in its ``run`` entry.
        rows: The manifest with ``target``, a class name; by utterance.
        hashes, stamps: Of each fold, by its number as text.
    """

    about: dict[str, Any]
    rows: pd.DataFrame
    hashes: dict[str, str]
    stamps: dict[str, tuple[str, ...]]


def verify(target: Path, corpora: str | None = None, stores: str | None = None) -> list[Check]:
    """Check a run against its card, predictions, split and, where it is on disk, its corpus.

    Args:
        target: The folder of a run, of one fold or of ``fold=all``, or the ``card.json`` in it.
        corpora: Where the corpora are; ``None`` looks where the run found them, then where every command looks.
        stores: Folder of the prepared waveform stores; a corpus that is not in it yet is prepared into it.

    Returns:
        All checks, with those that could not be done.

    Raises:
        UncheckedError: If there are no predictions, without which nothing can be recomputed.
    """
    run = RunFolder((target.parent if target.is_file() else target).resolve())
    if not run.has(CARD) and run.whole.has(CARD):
        run = run.whole  # whose card vouches for its folds
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
        return Check(name, False, f"A file is not as a run writes it, and cannot be checked: {error!r}.")


def _stored_card(run: RunFolder) -> dict[str, Any]:
    if (card := run.card) is None:
        raise RunError(f"There is no {run.path / CARD}, which every finished run leaves.")
    return card


def _card(run: RunFolder) -> str:
    """What the card says is what the run's files say."""
    card = _stored_card(run)
    files, schema, config = card.pop("files"), card.pop("schema"), card["config"]
    card["config"] = None if config is None else essential(migrated_config(moved_targets(config)))
    again = describe(run, card["when"], card["left_out"], config_of(run) or card["config"])
    again.pop("schema")
    if schema == 1:  # whose title could have a path in it, and whose folds had cards of their own
        again["title"] = card["title"]
        again["training"].pop("folds", None)
    for corpus in (*card["corpora"], *again["corpora"]):
        corpus.pop("notes", None)  # they grow with what is known of a corpus
    _refuse(differences(card, again, 0.0), f"{CARD} does not say what the run's files say")
    return f"says what the run's {len(files)} files say"


def _files(run: RunFolder) -> str:
    """Each file is the one that the card was made from."""
    card = _stored_card(run)
    then, now = card["files"], hashes(run, card["schema"])
    changed = [f"{name} (gone)" if name not in now else name for name in sorted(then) if then[name] != now.get(name)]
    changed += [f"{name} (new)" for name in sorted(set(now) - set(then))]
    if changed:
        raise RunError(f"Changed after the card was written, by the SHA-256: {', '.join(changed)}.")
    return f"the SHA-256 of {len(then)} files"


def _numbers(run: RunFolder) -> str:
    """The predictions give every number of the metrics."""
    stored = {key: value for key, value in run.metrics.items() if key != "run"}
    again = summarise(run.predictions)
    _refuse(differences(stored, again, SAME_SCORE), f"{METRICS} does not hold what {PREDICTIONS} gives")
    return f"the predictions give a UAR of {percent(again['uar'])}, and all else in {METRICS}"


def _profile(run: RunFolder) -> str:
    """The predictions give every number of the profile."""
    if (stored := run.profile) is None:
        raise UncheckedError(f"the run has no {PROFILE}")
    dev = run.dev_predictions if run.has(DEV_PREDICTIONS) else None
    again = json.loads(json.dumps(profile(run.predictions, dev)))
    _refuse(differences(stored, again, SAME_FIT), f"{PROFILE} does not hold what the predictions give")
    return f"the predictions give all that is in {PROFILE}"


def _split(run: RunFolder) -> str:
    """The file of splits has the hashes that it says, which are the run's, and what was scored is what it lists."""
    if not (stored := run.split_file):
        raise UncheckedError(f"the run has no {SPLIT}")
    ids = pd.Series(sorted({id_ for fold in stored["folds"] for side in SIDES for id_ in fold[side]}), name="id")
    splits = read_splits(run.path / SPLIT, ids.to_frame())  # checks the hashes in the file
    hashes_ = {split.fold: split.hash(ids.to_frame()) for split in splits}
    if hashes_ != run.splits:
        raise RunError(f"{SPLIT} has the folds {hashes_}, but {METRICS} is of {run.splits}.")
    found = [finding["stamp"] for finding in run.audit or [] if finding["stamp"]]
    found += [stamp for split in splits for stamp in split.stamps]
    _refuse_without_stamps(run.about, pooled_stamps(found, untested(run.metrics)))
    for name, side in TABLES.items():
        if run.has(name):
            _refuse_other_utterances(_table(run, name), splits, ids, name, side)
    return f"{', '.join(hashes_.values())}: what was scored is what it lists"


def _table(run: RunFolder, name: str) -> pd.DataFrame:
    return run.predictions if name == PREDICTIONS else run.dev_predictions


def _refuse_without_stamps(about: Mapping[str, Any], stamps: Iterable[str]) -> None:
    """Raise if a run does not say what it must; a stamp may go on, with the share that it concerns."""
    for stamp in stamps:
        if not any(said.startswith(stamp) for said in about["stamps"]):
            raise RunError(f"{METRICS} does not have a stamp that the result must carry: {stamp}.")


def _refuse_other_utterances(
    table: pd.DataFrame, splits: Sequence[Split], ids: pd.Series, name: str, side: str
) -> None:
    """Raise unless a table has the utterances of one side, fold by fold."""
    scored = set(zip(table["fold"].astype(int), table["utterance"], strict=True))
    listed = {(split.fold, id_) for split in splits for id_ in ids.iloc[split.sides()[side]]}
    if apart := sorted(scored ^ listed):
        fold, id_ = apart[0]
        raise RunError(
            f"{name} and the {side} side of {SPLIT} differ in {len(apart)} utterances: {id_} of fold {fold} is in "
            f"{name if apart[0] in scored else SPLIT} alone."
        )


def _pooling(run: RunFolder) -> str:
    """The pooled predictions are those of all folds, one after another."""
    each = [fold.splits for fold in run.folds]
    if each != [{fold: split_hash} for fold, split_hash in run.splits.items()]:
        raise RunError(f"{METRICS} pools the folds {run.splits}, but the folders are of {each}.")
    for name in TABLES:
        if run.has(name):
            joined = pd.concat([_table(fold, name) for fold in run.folds], ignore_index=True)
            if not _table(run, name).equals(joined):
                raise RunError(f"{name} is not that of the folds, one after another ({len(run.folds)} of them).")
    folds = len(run.folds)
    return "the predictions of the fold" if folds == 1 else f"the predictions of {folds} folds, one after another"


def _corpus(run: RunFolder, corpora: str | None, stores: str | None) -> str:
    """The corpora on disk give the run's fingerprint, labels, stamps and splits, and the facts of every utterance."""
    config = run.settings if run.whole.has(CONFIG) else (run.card or {}).get("config")
    if config is None:
        raise UncheckedError(f"the run has no {CONFIG}, which would name its corpora")
    found = _find(config, corpora, stores)
    for part in dict.fromkeys([run, *run.folds]):
        where = f"{part.path.name}/{METRICS}"
        said = {key: part.about[key] for key in found.about}
        _refuse(differences(said, found.about, 0.0), f"{where} is not of the corpora and settings here")
        for fold, split_hash in part.about["splits"].items():
            if split_hash != found.hashes.get(fold):
                raise RunError(
                    f"Fold {fold} has the split {split_hash}, but the protocol gives {found.hashes.get(fold)}."
                )
            _refuse_without_stamps(part.about, found.stamps[fold])
        for name in TABLES:
            if part.has(name):
                _refuse_other_facts(_table(part, name), found.rows, f"{part.path.name}/{name}")
    return f"{found.about['fingerprint']}: gives these speakers, targets and splits"


def _refuse_other_facts(table: pd.DataFrame, rows: pd.DataFrame, name: str) -> None:
    """Raise unless the corpus says of each utterance what the table says."""
    if strange := sorted(set(table["utterance"]) - set(rows.index)):
        raise RunError(f"{name}: {len(strange)} utterances are not in the corpora here, {strange[0]} for one.")
    expected = rows.loc[table["utterance"]]
    for column in ("corpus", "speaker", "sex", "sentence", "target"):
        said, given = (source[column].to_numpy(dtype=str) for source in (table, expected))
        if (other := said != given).any():
            row = int(other.argmax())
            raise RunError(
                f"{name}: the {column} of {table['utterance'].iloc[row]} is {said[row]}, but the corpus gives "
                f"{given[row]} ({int(other.sum())} such rows)."
            )


def _find(config: Mapping[str, Any], corpora: str | None, stores: str | None) -> Found:
    """Open or prepare the corpora that a configuration names; apply its labels and its protocol."""
    from omegaconf import OmegaConf

    usual = OmegaConf.create({"paths": OmegaConf.load(Path(conf_dir(), "paths", "default.yaml"))}).paths
    here = {}
    for name, declared in config["data"]["corpora"].items():
        root = declared.get("root")  # None: inside the package
        moved = root and (corpora or not Path(root).expanduser().exists())
        here[name] = {**declared, **({"root": str(Path(corpora or usual.corpora, Path(root).name))} if moved else {})}
    plan = planned({**config, "data": {"corpora": here}, "paths": {"stores": stores or usual.stores}, "strict": False})
    manifest, classes = plan.labelled.manifest, plan.class_names
    about = {
        "corpora": list(here),
        "fingerprint": plan.fingerprint,
        "labels": plan.describe_labels(),
        "protocol": plan.protocol,
        "seed": config["seed"],
    }
    return Found(
        about=about,
        rows=manifest.assign(target=classes).set_index("id"),
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
