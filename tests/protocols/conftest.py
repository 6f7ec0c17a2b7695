"""Manifests of whole corpora out of their file names alone, and protocols as their YAML says."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from ser.build import build
from ser.conf_dir import conf_dir
from ser.corpora.corpus import Corpus
from ser.corpora.crema import Crema
from ser.corpora.ravdess import Ravdess
from ser.corpora.savee import Savee
from ser.corpora.tess import Tess
from ser.manifest import to_table
from ser.protocols.split import Protocol

Shipped = Callable[..., Protocol]


def named(corpus: Corpus, names: Iterable[str]) -> pd.DataFrame:
    clips = [corpus.parse(Path(f"{name}.wav")) for name in names]
    assert None not in clips
    return to_table(clip for clip in clips if clip)


@pytest.fixture(scope="session")
def ravdess() -> pd.DataFrame:
    """24 actors, 8 emotions, two clips of each."""
    return named(
        Ravdess("."),
        (f"03-01-{e:02d}-01-{s:02d}-01-{a:02d}" for a in range(1, 25) for e in range(1, 9) for s in (1, 2)),
    )


@pytest.fixture(scope="session")
def crema() -> pd.DataFrame:
    """91 actors, 6 emotions, one clip of each."""
    codes = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
    return named(Crema("."), (f"{actor}_DFA_{code}_XX" for actor in range(1001, 1092) for code in codes))


@pytest.fixture(scope="session")
def savee() -> pd.DataFrame:
    """4 men, 7 emotions, three clips of each."""
    codes = ("a", "d", "f", "h", "n", "sa", "su")
    return named(Savee("."), (f"{s}_{e}{i:02d}" for s in ("DC", "JE", "JK", "KL") for e in codes for i in (1, 2, 3)))


@pytest.fixture(scope="session")
def tess() -> pd.DataFrame:
    """2 women, 7 emotions, ten words."""
    words = ("back", "bar", "base", "bath", "bean", "beg", "bite", "boat", "bone", "book")
    emotions = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
    return named(Tess("."), (f"{s}_{w}_{e}" for s in ("OAF", "YAF") for w in words for e in emotions))


@pytest.fixture(scope="session")
def shipped() -> Shipped:
    """A protocol of ``conf/protocol``, as ``protocol=<name> protocol.<key>=<value>`` gives it."""

    def make(name: str, **overrides: Any) -> Protocol:
        config = yaml.safe_load((Path(conf_dir()) / "protocol" / f"{name}.yaml").read_text())
        return build({**config, **overrides}, Protocol)

    return make
