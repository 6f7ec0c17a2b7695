"""What each protocol of ``conf/protocol/`` would do with some data: its folds, its stamps, or why it cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from ser.corpora.labels import Labelled
from ser.errors import SerError
from ser.protocols.audit import audit, stamps
from ser.protocols.loso import LeaveOneSpeakerOut
from ser.protocols.split import Protocol
from ser.protocols.stamps import combined
from ser.protocols.unknown_speakers import stamp_of
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import instantiate

PREFERRED = ("given_split", "leave_one_corpus_out", "speaker_cv", "loso", "random")
"""The order in which a protocol is chosen for someone's own data: the first whose folds have no error."""
MOST_FOLDS = 100
"""Folds up to which leaving one speaker out is tried: each is a training."""


@dataclass(frozen=True)
class Outlook:
    """A protocol on some data.

    Attributes:
        name: The file in ``conf/protocol/``.
        folds: Number of folds; 0 if it cannot be used.
        stamps: Stamps of its results, by the first fold.
        refused: Why it cannot be used: what it says itself, or the first error of the audit; empty if it can.
    """

    name: str
    folds: int
    stamps: tuple[str, ...]
    refused: str


def outlooks(labelled: Labelled) -> list[Outlook]:
    """Try every protocol of ``conf/protocol/``, with its settings there, on the data; recordings are not compared.

    A protocol that is named like a corpus is tried on that corpus only.
    """
    here, others = set(labelled.manifest["corpus"]), {file.stem for file in Path(conf_dir(), "data").glob("*.yaml")}
    files = sorted(Path(conf_dir(), "protocol").glob("*.yaml"))
    return [_outlook(file, labelled) for file in files if file.stem not in others - here]


def chosen(found: Sequence[Outlook]) -> Outlook | None:
    """Return the protocol to use on someone's own data; ``None`` if there is none."""
    usable = {outlook.name: outlook for outlook in found if not outlook.refused}
    return next((usable[name] for name in PREFERRED if name in usable), None)


def _outlook(file: Path, labelled: Labelled) -> Outlook:
    manifest, classes = labelled.manifest, labelled.class_names
    try:
        protocol = instantiate(yaml.safe_load(file.read_text(encoding="utf-8")), Protocol)
        if isinstance(protocol, LeaveOneSpeakerOut) and (speakers := manifest["speaker"].nunique()) > MOST_FOLDS:
            return Outlook(file.stem, 0, (), f"{speakers} speakers are as many folds, each of them a training")
        splits = protocol.splits(manifest)
    except SerError as error:
        return Outlook(file.stem, 0, (), str(error))
    found = audit(splits[0], manifest, classes)
    errors = [finding.text for finding in found if finding.level == "error"]
    stamp = combined(filter(None, (stamp_of(manifest), *stamps(splits[0], found))))
    return Outlook(file.stem, len(splits), stamp, errors[0] if errors else "")
