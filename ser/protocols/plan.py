"""The plan of a configuration: corpora under a label scheme, and the folds of a protocol. Does not import torch."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ser.audio.decode import AudioSettings
from ser.audio.duplicates import find_duplicates
from ser.audio.store import Store, prepare
from ser.corpora.corpus import Corpus
from ser.corpora.labels import Labelled, Labels
from ser.corpora.own import OwnRecordings
from ser.errors import ConfigError, CorpusNotFoundError, SplitError
from ser.protocols.audit import Finding, Policy, audit, enforce, stamps
from ser.protocols.final import final_split
from ser.protocols.naming import reported_name
from ser.protocols.searched import search_stamp
from ser.protocols.split import Protocol, Split
from ser.protocols.stamps import SYNTHETIC, combined
from ser.protocols.unknown_speakers import stamp_of, with_stand_ins
from ser.protocols.without_listening import Baseline, baselines, durations_and_levels
from ser.runtime.instantiate import instantiate, settings_from

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Every fold of a protocol on some corpora.

    Attributes:
        stores: The prepared corpora, in the order of ``labelled.manifest``, whose ``start`` is an offset into all of them.
        labelled: The utterances that have a target, and their targets.
        protocol: Its name in results; see `ser.protocols.naming`.
        splits: The protocol's folds; rows of ``labelled.manifest``.
        policy: Whether a leak that the protocol does not allow prevents training or becomes a stamp.
        searched: The stamp of results whose settings were chosen on test speakers; see `ser.protocols.searched`.
    """

    corpora: tuple[str, ...]
    stores: tuple[Store, ...]
    labels: Labels
    labelled: Labelled
    protocol: str
    splits: tuple[Split, ...]
    policy: Policy = "refuse"
    searched: str = ""

    @property
    def settings(self) -> AudioSettings:
        """The settings that the recordings were decoded with."""
        return AudioSettings(**self.stores[0].card["settings"])

    @property
    def fingerprint(self) -> str:
        """A hash of each corpus's recordings, labels and audio settings, joined."""
        return data_fingerprint(self.stores)

    @property
    def left_out(self) -> list[dict[str, Any]]:
        """The files of the corpora that could not be used."""
        return [problem for s in self.stores for problem in s.card["problems"] if problem["left_out"]]

    @property
    def remarks(self) -> dict[str, list[str]]:
        """How this copy of each corpus was read, beside the notes on its release."""
        return {name: s.card.get("remarks", []) for name, s in zip(self.corpora, self.stores, strict=True)}

    @cached_property
    def duplicates(self) -> pd.DataFrame:
        """The pairs of duplicate recordings; see `ser.audio.duplicates`."""
        return find_duplicates(self.stores, self.stores[0].folder.parent)  # the table is kept beside the stores

    @cached_property
    def baselines(self) -> tuple[Baseline, ...]:
        """What guesses without listening reach over all folds; empty where targets are numbers."""
        return self._baselines(self._levels)

    @cached_property
    def given_away(self) -> tuple[Baseline, ...]:
        """Those that need no recording, which the audit of every fold looks at before training."""
        return self._baselines(lambda: None)

    def _baselines(self, levels: Callable[[], np.ndarray | None]) -> tuple[Baseline, ...]:
        names = self.labelled.class_names
        return () if names is None else baselines(self.splits, self.labelled.manifest, names, levels())

    def _levels(self) -> np.ndarray:
        """Return the duration and the level of each clip, ``(utterance, 2)``."""
        manifest, found, first = self.labelled.manifest, [], 0
        for store in self.stores:
            own = manifest["start"].between(first, first + store.card["samples"], inclusive="left")
            rows = manifest[own].assign(start=manifest["start"] - first)
            found.append(durations_and_levels(store.samples, rows, self.settings.sample_rate))
            first += store.card["samples"]
        return np.concatenate(found)

    def describe_labels(self) -> str:
        """Return a line that describes the label scheme and the emotions that it merges and drops in these corpora."""
        return self.labels.describe(pd.concat([store.manifest["emotion"] for store in self.stores]))

    def split(self, fold: int) -> Split:
        """Return one fold.

        Raises:
            SplitError: If the protocol does not have this fold on this data.
        """
        if not 0 <= fold < len(self.splits):
            raise SplitError(
                f"fold must be 0 to {len(self.splits) - 1} for protocol={self.protocol} on this data; got {fold}. "
                "Use fold=all to train on every fold."
            )
        return self.splits[fold]

    def across(self, fold: int) -> dict[str, list[str]]:
        """Return the corpora that train and those that test, as ``trained_on`` and ``tested_on``; nothing if all do both."""
        corpora, split = self.labelled.manifest["corpus"], self.split(fold)
        trained, tested = (sorted(corpora.iloc[rows].unique()) for rows in (split.train, split.test))
        return {"trained_on": trained, "tested_on": tested} if trained != tested else {}

    def audit(self, fold: int) -> list[Finding]:
        """Return the audit's findings on one fold; see `ser.protocols.audit`."""
        names = self.labelled.class_names
        return audit(self.split(fold), self.labelled.manifest, names, self.duplicates, self.given_away)

    def check(self, fold: int) -> list[Finding]:
        """Audit one fold, and raise its errors unless the policy turns them into stamps.

        Raises:
            SplitError: If the policy does not allow the errors; the message lists all of them.
        """
        findings = self.audit(fold)
        enforce(findings, fold, self.policy)
        return findings

    def stamps(self, fold: int, findings: Sequence[Finding] = ()) -> tuple[str, ...]:
        """Return the stamps of every result on one fold; see `ser.protocols.stamps`."""
        synthetic = any(store.card["synthetic"] for store in self.stores)
        unknown = stamp_of(self.labelled.manifest)
        about = [stamp for stamp in (SYNTHETIC * synthetic, unknown, self.searched) if stamp]
        return combined((*about, *stamps(self.split(fold), findings)))


def corpora_of(config: Mapping[str, Any]) -> dict[str, Corpus]:
    """Return the corpora that a configuration names, by name. Tables are checked before anything is decoded.

    Raises:
        ConfigError: If there is none, or a setting of one cannot be used.
        BadCorpusError: If a table has a problem.
    """
    named = config["data"]["corpora"]
    if not named:
        raise ConfigError("data must name at least one corpus; got none. Choose data=demo or data=[ravdess,savee].")
    corpora = {name: instantiate(corpus, Corpus) for name, corpus in named.items()}
    for corpus in corpora.values():
        if isinstance(corpus, OwnRecordings):
            corpus.check()
    return corpora


def prepared(config: Mapping[str, Any]) -> dict[str, Store]:
    """Open the stores of the corpora that a configuration names. Missing stores are created.

    With ``paths.missing=leave_out``, corpora that are not on this machine are left out with a warning, but not all of them.

    Raises:
        SerError: If a corpus is missing or unusable.
    """
    settings, where = settings_from(AudioSettings, config["audio"], "audio"), config["paths"]["stores"]
    strict, missing = config.get("strict", False), config["paths"].get("missing", "error")
    if missing not in ("error", "leave_out"):
        raise ConfigError(f"paths.missing must be error or leave_out; got {missing!r}.")
    stores: dict[str, Store] = {}
    corpora, absent = corpora_of(config), []
    for name, corpus in corpora.items():
        try:
            stores[name] = prepare(corpus, where, settings, strict=strict)
        except CorpusNotFoundError as error:
            absent.append(str(error).partition("\n")[0])
            if missing == "error" or len(absent) == len(corpora):
                raise
    for reason in absent:
        log.warning("Left out: %s", reason)
    return stores


def data_fingerprint(stores: Iterable[Store]) -> str:
    """Return a hash of the recordings, labels and audio settings of each store, joined."""
    return "+".join(store.fingerprint for store in stores)


def planned(config: Mapping[str, Any]) -> Plan:
    """Plan every fold of a configuration, or its only one where ``fold`` is ``final``. Missing stores are created.

    Raises:
        SerError: If a corpus is missing, or the labels or the protocol do not fit it.
    """
    labels, protocol = instantiate(config["labels"], Labels), instantiate(config["protocol"], Protocol)
    plan = plan_folds(prepared(config), labels, protocol, config.get("audit", "refuse"))
    plan = replace(plan, protocol=reported_name(config["protocol"], protocol.name))
    fold, manifest = config.get("fold", "all"), plan.labelled.manifest
    if fold == "final":
        return replace(plan, splits=(final_split(plan.splits, manifest),))
    reported = [split.fold for split in plan.splits] if fold == "all" else [fold]
    return replace(plan, searched=search_stamp(plan.splits, manifest, config.get("searched") or (), reported))


def plan_folds(stores: Mapping[str, Store], labels: Labels, protocol: Protocol, policy: Policy = "refuse") -> Plan:
    """Apply labels and protocol to prepared corpora.

    Raises:
        ConfigError: If an utterance is in two of the corpora.
        LabelError: If the labels keep no utterance.
        SplitError: If the protocol does not fit these corpora.
    """
    offsets = np.cumsum([0] + [store.card["samples"] for store in stores.values()])
    manifests = [
        store.manifest.assign(start=store.manifest["start"] + offset)
        for store, offset in zip(stores.values(), offsets[:-1], strict=True)
    ]
    manifest = pd.concat(manifests, ignore_index=True)
    if not manifest["id"].is_unique:
        twice = manifest.loc[manifest["id"].duplicated(), "id"].iloc[0]
        raise ConfigError(f"data.corpora must name each corpus once; got {twice} in two of them. Remove one.")
    labelled = labels.apply(with_stand_ins(manifest))
    splits = tuple(protocol.splits(labelled.manifest))
    return Plan(tuple(stores), tuple(stores.values()), labels, labelled, protocol.name, splits, policy)
