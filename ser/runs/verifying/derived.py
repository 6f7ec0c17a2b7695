"""What the corpora on disk and the settings of a run give: what its files must say."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ser.errors import RunError
from ser.protocols.audit import Finding
from ser.protocols.plan import Plan, planned
from ser.protocols.split_file import SplitFile
from ser.protocols.stamps import ELSEWHERE, FOREIGN, LABELS_ONLY, OF_FOREIGN, implied
from ser.runs.folder import CONFIG, RunFolder
from ser.runs.identity import of_fold
from ser.runs.verifying.check import UncheckedError
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import find_class

STATED = {FOREIGN: OF_FOREIGN[1:], ELSEWHERE: (LABELS_ONLY,)}
"""By the stamp of models that were not trained here: stamps that depend on what their users stated."""


@dataclass(frozen=True)
class Derived:
    """The plan of a run's settings on the corpora that are on disk, and all that results must say because of it.

    Attributes:
        config: The settings of the run, with the folders that were looked in.
    """

    config: Mapping[str, Any]
    plan: Plan

    @cached_property
    def findings(self) -> list[list[Finding]]:
        """The findings of the audit of each fold."""
        return [self.plan.audit(fold) for fold in range(len(self.plan.splits))]

    @cached_property
    def stated(self) -> tuple[str, ...]:
        """The first words of stamps that nothing but the run says."""
        return tuple(words for stamp in implied(self.config) for words in STATED.get(stamp, ()))

    def about(self, fold: int) -> dict[str, Any]:
        """Return the facts about a fold that its metrics must have.

        Raises:
            RunError: If the protocol has no such fold.
        """
        plan, count = self.plan, len(self.plan.splits)
        if not 0 <= fold < count:
            raise RunError(f"The protocol {plan.protocol} gives {count} folds on this data, and none is fold {fold}.")
        manifest = plan.labelled.manifest
        return {
            "stamps": [*plan.stamps(fold, self.findings[fold]), *implied(of_fold(self.config, fold))],
            "corpora": list(plan.corpora),
            **plan.across(fold),
            "labels": plan.describe_labels(),
            "protocol": plan.protocol,
            "folds": count,
            "splits": {str(fold): plan.splits[fold].hash(manifest)},
            "fingerprint": plan.fingerprint,
            "without_listening": [baseline.plain() for baseline in plan.baselines],
            "seed": self.config["seed"],
        }

    def audit(self, fold: int) -> list[dict[str, Any]]:
        """Return the findings on a fold as ``audit.json`` must have them."""
        return [{"fold": fold, **finding.plain()} for finding in self.findings[fold]]


def derive(run: RunFolder, corpora: str | None, stores: str | None) -> Derived:
    """Open or prepare the corpora of a run, and apply its labels and protocol.

    Args:
        run: The run.
        corpora: Folder of the corpora; ``None``: where the run found them, or else the default folder.
        stores: Folder of the prepared waveform stores; ``None`` is the default.

    Raises:
        UncheckedError: If the settings, or the file of the splits, are absent.
        CorpusNotFoundError: If a corpus is.
        SerError: If settings do not fit a corpus.
    """
    from omegaconf import OmegaConf

    config = run.settings if run.whole.has(CONFIG) else (run.card or {}).get("config")
    if config is None:
        raise UncheckedError(f"the run has no {CONFIG}, which names its corpora")
    usual = OmegaConf.create({"paths": OmegaConf.load(Path(conf_dir(), "paths", "default.yaml"))}).paths
    here = {}
    for name, declared in config["data"]["corpora"].items():
        root = declared.get("root")  # None: inside the package
        moved = root and (corpora or not Path(root).expanduser().exists())
        here[name] = {**declared, **({"root": str(Path(corpora or usual.corpora, Path(root).name))} if moved else {})}
    protocol = config["protocol"]
    if find_class(str(protocol["_target_"]), object) is SplitFile and not _is_file(protocol.get("path")):
        raise UncheckedError(f"the file of the splits, {protocol.get('path')}, is not there")
    paths = {**config.get("paths", {}), "stores": stores or usual.stores}
    found = {**config, "data": {"corpora": here}, "paths": paths, "strict": False}
    return Derived(found, planned(found))


def _is_file(path: Any) -> bool:
    return path is not None and Path(path).expanduser().is_file()
