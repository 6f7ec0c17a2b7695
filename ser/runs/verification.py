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
from ser.evaluation import predictions
from ser.evaluation.profile import profile
from ser.evaluation.summary import Difference, differences, summarise
from ser.protocols.plan import planned
from ser.protocols.split import SIDES, Split
from ser.protocols.split_file import read_splits
from ser.report.format import percent
from ser.runs.card import config_of, describe, folds_of, hashes, read_object, read_optional, split_hashes
from ser.runtime.conf_dir import conf_dir
from ser.runtime.words import and_more

TABLES = {"predictions.parquet": "test", "dev_predictions.parquet": "dev"}
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
    folder = (target.parent if target.is_file() else target).resolve()
    if not (folder / "predictions.parquet").is_file():
        raise UncheckedError(
            f"Nothing can be recomputed: there is no predictions.parquet in {folder}. Give the folder of a finished run, "
            "or the card.json in it."
        )
    parts = folds_of(folder)
    checks = []
    for part in [folder, *parts]:
        for check in (_card, _files, _numbers, _profile, _split):
            name = check.__name__.removeprefix("_")
            checks.append(_try(f"{part.name} {name}" if part in parts else name, check, part))
    if parts:
        checks.append(_try("pooling", _pooling, folder, parts))
    checks.append(_try("corpus", _corpus, folder, parts, corpora, stores))
    return checks


def _try(name: str, check: Callable[..., str], *arguments: Any) -> Check:
    try:
        return Check(name, True, check(*arguments))
    except (UncheckedError, CorpusNotFoundError) as error:
        return Check(name, None, f"not checked: {str(error).splitlines()[0]}")
    except SerError as error:
        return Check(name, False, str(error))
    except (AttributeError, IndexError, KeyError, OSError, TypeError, ValueError) as error:
        return Check(name, False, f"A file is not as a run writes it, and cannot be checked: {error!r}.")


def _card(folder: Path) -> str:
    """What the card says is what the run's files say."""
    card = read_object(folder / "card.json")
    files = card.pop("files")
    again = describe(folder, card["when"], card["left_out"], config_of(folder) or card["config"])
    _refuse(differences(card, again, 0.0), "card.json does not say what the run's files say")
    return f"says what the run's {len(files)} files say"


def _files(folder: Path) -> str:
    """Each file is the one that the card was made from."""
    then, now = read_object(folder / "card.json")["files"], hashes(folder)
    changed = [f"{name} (gone)" if name not in now else name for name in sorted(then) if then[name] != now.get(name)]
    changed += [f"{name} (new)" for name in sorted(set(now) - set(then))]
    if changed:
        raise RunError(f"Changed after the card was written, by the SHA-256: {', '.join(changed)}.")
    return f"the SHA-256 of {len(then)} files"


def _numbers(folder: Path) -> str:
    """The predictions give every number of metrics.json."""
    stored = read_object(folder / "metrics.json")
    stored.pop("run")
    again = summarise(predictions.read_predictions(folder / "predictions.parquet"))
    _refuse(differences(stored, again, SAME_SCORE), "metrics.json does not hold what predictions.parquet gives")
    return f"the predictions give a UAR of {percent(again['uar'])}, and all else in metrics.json"


def _profile(folder: Path) -> str:
    """The predictions give every number of profile.json."""
    if (stored := read_optional(folder / "profile.json")) is None:
        raise UncheckedError("the run has no profile.json")
    dev = folder / "dev_predictions.parquet"
    table = predictions.read_predictions(folder / "predictions.parquet")
    again = json.loads(json.dumps(profile(table, predictions.read_predictions(dev) if dev.is_file() else None)))
    _refuse(differences(stored, again, SAME_FIT), "profile.json does not hold what the predictions give")
    return "the predictions give all that is in profile.json"


def _split(folder: Path) -> str:
    """The split.json has the hashes that it says, which are the run's, and what was scored is what it lists."""
    file = folder / "split.json"
    if (stored := read_optional(file)) is None:
        raise UncheckedError("the run has no split.json")
    ids = pd.Series(sorted({id_ for fold in stored["folds"] for side in SIDES for id_ in fold[side]}), name="id")
    splits = read_splits(file, ids.to_frame())  # checks the hashes in the file
    hashes_ = {str(split.fold): split.hash(ids.to_frame()) for split in splits}
    about = read_object(folder / "metrics.json")["run"]
    if hashes_ != (expected := split_hashes(about)):
        raise RunError(f"split.json has the folds {hashes_}, but metrics.json is of {expected}.")
    found = [finding["stamp"] for finding in read_optional(folder / "audit.json") or [] if finding["stamp"]]
    _refuse_without_stamps(about, [*found, *(stamp for split in splits for stamp in split.stamps)])
    for name, side in TABLES.items():
        if (folder / name).is_file():
            _refuse_other_utterances(predictions.read_predictions(folder / name), splits, ids, name, side)
    return f"{', '.join(hashes_.values())}: what was scored is what it lists"


def _refuse_without_stamps(about: Mapping[str, Any], stamps: Iterable[str]) -> None:
    """Raise if a run does not say what it must; a stamp may go on, with the share that it concerns."""
    for stamp in stamps:
        if not any(said.startswith(stamp) for said in about["stamps"]):
            raise RunError(f"metrics.json lacks a stamp that the result carries: {stamp}.")


def _refuse_other_utterances(
    table: pd.DataFrame, splits: Sequence[Split], ids: pd.Series, name: str, side: str
) -> None:
    """Raise unless a table has the utterances of one side, fold by fold."""
    scored = set(zip(table["fold"].astype(int), table["utterance"], strict=True))
    listed = {(split.fold, id_) for split in splits for id_ in ids.iloc[split.sides()[side]]}
    if apart := sorted(scored ^ listed):
        fold, id_ = apart[0]
        raise RunError(
            f"{name} and the {side} side of split.json differ in {len(apart)} utterances: {id_} of fold {fold} is in "
            f"{name if apart[0] in scored else 'split.json'} alone."
        )


def _pooling(folder: Path, parts: Sequence[Path]) -> str:
    """The pooled predictions are those of all folds, one after another."""
    pooled = split_hashes(read_object(folder / "metrics.json")["run"])
    each = [split_hashes(read_object(part / "metrics.json")["run"]) for part in parts]
    if each != [{fold: split_hash} for fold, split_hash in pooled.items()]:
        raise RunError(f"metrics.json pools the folds {pooled}, but the folders are of {each}.")
    for name in TABLES:
        if (folder / name).is_file():
            joined = pd.concat([predictions.read_predictions(part / name) for part in parts], ignore_index=True)
            if not predictions.read_predictions(folder / name).equals(joined):
                raise RunError(f"{name} is not that of the {len(parts)} folds, one after another.")
    return f"the predictions of {len(parts)} folds, one after another"


def _corpus(folder: Path, parts: Sequence[Path], corpora: str | None, stores: str | None) -> str:
    """The corpora on disk give the run's fingerprint, labels, stamps and splits, and the facts of every utterance."""
    config = config_of(folder) or (read_optional(folder / "card.json") or {}).get("config")
    if config is None:
        raise UncheckedError("the run has no config.yaml, which would name its corpora")
    found = _find(config, corpora, stores)
    for part in [folder, *parts]:
        about = read_object(part / "metrics.json")["run"]
        said = {key: about[key] for key in found.about}
        _refuse(
            differences(said, found.about, 0.0), f"{part.name}/metrics.json is not of the corpora and settings here"
        )
        for fold, split_hash in split_hashes(about).items():
            if split_hash != found.hashes.get(fold):
                raise RunError(
                    f"Fold {fold} has the split {split_hash}, but the protocol gives {found.hashes.get(fold)}."
                )
            _refuse_without_stamps(about, found.stamps[fold])
        for name in TABLES:
            if (part / name).is_file():
                _refuse_other_facts(predictions.read_predictions(part / name), found.rows, f"{part.name}/{name}")
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
