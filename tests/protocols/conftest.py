"""Manifests of whole corpora out of their file names alone, and protocols as their YAML says."""

import os
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from ser.corpora.corpus import Corpus
from ser.corpora.crema import SENTENCES, Crema
from ser.corpora.manifest import to_table
from ser.corpora.ravdess import Ravdess
from ser.corpora.savee import Savee
from ser.corpora.tess import Tess
from ser.protocols.audit import audit, enforce
from ser.protocols.split import Protocol, Split
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import instantiate

Shipped = Callable[..., Protocol]
Folder = Callable[[str], Path]


def check(split: Split, manifest: pd.DataFrame) -> None:
    """Hold a split to what it admits and promises, as every training does."""
    enforce(audit(split, manifest, manifest["emotion"]), split.fold)


def together(*manifests: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(manifests, ignore_index=True)


def of(manifest: pd.DataFrame, rows: Iterable[int], column: str) -> set[str]:
    """The values that some utterances have."""
    return set(manifest[column].iloc[list(rows)])


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
def whole_ravdess() -> pd.DataFrame:
    """All 1440 clips: neutral has no strong intensity."""
    parts = product(range(1, 25), range(1, 9), (1, 2), (1, 2), (1, 2))
    names = (f"03-01-{e:02d}-{i:02d}-{s:02d}-{r:02d}-{a:02d}" for a, e, i, s, r in parts if (e, i) != (1, 2))
    return named(Ravdess("."), names)


@pytest.fixture(scope="session")
def whole_savee() -> pd.DataFrame:
    """All 480 clips: 15 of an emotion, 30 neutral."""
    codes = {"a": 15, "d": 15, "f": 15, "h": 15, "n": 30, "sa": 15, "su": 15}
    names = (f"{s}_{e}{i:02d}" for s in ("DC", "JE", "JK", "KL") for e, n in codes.items() for i in range(1, n + 1))
    return named(Savee("."), names)


@pytest.fixture(scope="session")
def whole_tess() -> pd.DataFrame:
    """2800 clips: 200 words (not the real ones), of 2 speakers in 7 emotions."""
    words = ["".join(letters) for letters in product("bdfgklmnpr", "aeiou", "ktsp")]
    emotions = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
    return named(Tess("."), (f"{s}_{w}_{e}" for s in ("OAF", "YAF") for w in words for e in emotions))


@pytest.fixture(scope="session")
def whole_crema() -> pd.DataFrame:
    """7462 clips: 12 sentences, one of them at three intensities. (The release lacks 20 of these.)"""
    codes = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
    parts = product(range(1001, 1092), SENTENCES, codes)
    levels = {(s, e): ("LO", "MD", "HI") if s == "IEO" and e != "NEU" else ("XX",) for s in SENTENCES for e in codes}
    return named(Crema("."), (f"{a}_{s}_{e}_{i}" for a, s, e in parts for i in levels[s, e]))


@pytest.fixture(scope="session")
def folder() -> Folder:
    """A folder of what was published, beside the folder of SER_CORPORA, or a corpus in it."""

    def find(name: str) -> Path:
        corpora = Path(os.environ.get("SER_CORPORA") or "nowhere/corpora")
        found = corpora.parent / name if name == "protocols" else corpora / name
        if not found.is_dir():
            pytest.skip(f"there is no {name} at or beside the folder that SER_CORPORA names")
        return found

    return find


@pytest.fixture(scope="session")
def shipped() -> Shipped:
    """A protocol of ``conf/protocol``, as ``protocol=<name> protocol.<key>=<value>`` gives it."""

    def make(name: str, **overrides: Any) -> Protocol:
        config = yaml.safe_load((Path(conf_dir()) / "protocol" / f"{name}.yaml").read_text())
        return instantiate({**config, **overrides}, Protocol)

    return make
