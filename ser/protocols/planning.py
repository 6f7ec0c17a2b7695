"""From a configuration to a plan of who trains, tunes and tests, without torch."""

from collections.abc import Mapping
from typing import Any

from ser.audio.decode import AudioSettings
from ser.audio.store import prepare
from ser.corpora.corpus import Corpus
from ser.corpora.labels import LabelScheme
from ser.protocols.plan import Plan, plan
from ser.protocols.split import Protocol
from ser.runtime.instantiate import instantiate


def planned(config: Mapping[str, Any]) -> Plan:
    """The plan of a composed configuration; its corpora are prepared where they are not yet.

    Raises:
        SerError: If a corpus is absent, or the labels or the protocol do not fit.
    """
    settings = AudioSettings(**config["audio"])
    corpora = [instantiate(corpus, Corpus) for corpus in config["data"]["corpora"].values()]
    parts = [prepare(corpus, config["paths"]["stores"], settings) for corpus in corpora]
    return plan(parts, instantiate(config["labels"], LabelScheme), instantiate(config["protocol"], Protocol))
