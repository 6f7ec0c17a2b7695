"""Splits in a file: write the utterances of every fold for publication, and use such a file as a protocol."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.split import SIDES, Split
from ser.runtime.files import write_text
from ser.runtime.words import and_more


class SplitFile:
    """The folds of a file that `write_splits` wrote.

    Utterances of the data that the file does not name are left out.
    """

    name = "file"
    asked = ("path",)

    def __init__(self, path: str | Path | None) -> None:
        self.path = path

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return the folds of the file, numbered from 0 in its order."""
        if self.path is None:
            raise SplitError(
                "protocol.path must be a file of splits for protocol=file; got none. Set protocol.path=..."
            )
        splits = read_splits(Path(self.path).expanduser(), manifest)
        return [replace(split, fold=number) for number, split in enumerate(splits)]


def write_splits(splits: Sequence[Split], manifest: pd.DataFrame, path: Path, protocol: str) -> None:
    """Write splits as one JSON file: the hash, stamps, guarantee and sorted ids of each side of every fold.

    Example:
        >>> import tempfile
        >>> from ser.protocols.split import from_speakers
        >>> ids = ["x/a1", "x/b1", "x/c1"]
        >>> manifest = pd.DataFrame({"id": ids, "speaker": ["x/a", "x/b", "x/c"]})
        >>> split = from_speakers(manifest, 0, dev={"x/b"}, test={"x/c"})
        >>> path = Path(tempfile.mkdtemp()) / "splits.json"
        >>> write_splits([split], manifest, path, "loso")
        >>> (read_back,) = read_splits(path, manifest)
        >>> read_back.hash(manifest) == split.hash(manifest)
        True
    """
    folds = [
        {
            "fold": split.fold,
            "hash": split.hash(manifest),
            "stamps": list(split.stamps),
            "text_independent": split.text_independent,
            **{side: sorted(manifest["id"].iloc[rows]) for side, rows in split.sides().items()},
        }
        for split in splits
    ]
    write_text(json.dumps({"protocol": protocol, "folds": folds}, indent=1), path)


def read_splits(path: Path, manifest: pd.DataFrame) -> list[Split]:
    """Read splits that `write_splits` wrote. The manifest must have all of their utterances.

    Raises:
        SplitError: If the file does not exist or is not a file of splits, if the manifest does not have all of its
            utterances, or if its ids do not match its hashes.
    """
    try:
        folds = json.loads(path.read_text(encoding="utf-8"))["folds"]
        return [_read(fold, manifest, path) for fold in folds]
    except FileNotFoundError as error:
        raise SplitError(
            f"protocol.path must be an existing file of splits; got {path}, which does not exist."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise SplitError(
            f"{path} must be a whole file of splits; got other content ({error!r}). Write it again with "
            "`python -m ser.audit splits=...`."
        ) from error


def _read(fold: dict[str, Any], manifest: pd.DataFrame, path: Path) -> Split:
    sides = {}
    ids = pd.Index(manifest["id"])
    for side in SIDES:
        rows = ids.get_indexer(fold[side])
        if absent := sorted(np.asarray(fold[side], dtype=object)[rows < 0]):
            raise SplitError(
                f"{path} must name utterances of the data; got {len(absent)} others in {side} of fold {fold['fold']}: "
                f"{and_more(absent)}. Use the corpora and labels that the file was written for."
            )
        sides[side] = np.sort(rows)
    split = Split(
        int(fold["fold"]), **sides, stamps=tuple(fold["stamps"]), text_independent=bool(fold["text_independent"])
    )
    if split.hash(manifest) != fold["hash"]:
        raise SplitError(
            f"{path}: the ids of fold {split.fold} must match its hash {fold['hash']}; got others: the file was edited "
            "after it was written. Get it again, or write your own folds with write_splits."
        )
    return split
