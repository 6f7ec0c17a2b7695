"""Stand-ins for unknown speakers, so that a split can keep together what probably belongs to one.

Where a corpus does not say who speaks, the clips of one source folder, or else of one recording, stay on one side of a
split. It is a guess: a speaker may be in several recordings. Every result on such data carries the stamp
`ser.protocols.stamps.SPEAKERS_UNKNOWN`.
"""

import os
from pathlib import PurePath
from typing import Literal

import pandas as pd

from ser.protocols.stamps import SPEAKERS_UNKNOWN

STANDS_IN = "speaker_stands_in"
"""Column of a manifest: ``folder`` or ``recording`` where the speaker is a stand-in; absent if all are known."""
FEWEST_FOLDERS = 3
"""Source folders that a split by folder needs, for test, dev and train."""


def with_stand_ins(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return a manifest with a stand-in for each unknown speaker, in the column `STANDS_IN` too; itself if none is unknown.

    A corpus is split by its source folders if there are at least three and each has clips of several emotions, or of none,
    so that they are no folders of a class; else by its recordings, of which several clips may be pieces.

    Example:
        >>> paths = ["/a/sad/1.wav", "/a/angry/2.wav"]
        >>> clips = {"corpus": "x", "path": paths, "emotion": ["sad", "angry"], "speaker": None}
        >>> with_stand_ins(pd.DataFrame(clips))["speaker"].tolist()
        ['x/recording sad/1.wav', 'x/recording angry/2.wav']
    """
    unknown = manifest["speaker"].isna()
    if not unknown.any():
        return manifest
    filled = manifest.assign(speaker=manifest["speaker"].astype(object), **{STANDS_IN: None})
    for corpus, clips in manifest[unknown].groupby("corpus"):
        by, groups = _groups(clips)
        filled.loc[clips.index, "speaker"] = f"{corpus}/{by} " + groups
        filled.loc[clips.index, STANDS_IN] = by
    return filled


def is_unknown(manifest: pd.DataFrame) -> pd.Series:
    """Return whether the speaker of each clip is unknown, ``(utterance,)`` booleans."""
    missing = manifest["speaker"].isna()
    return missing | manifest[STANDS_IN].notna() if STANDS_IN in manifest else missing


def stamp_of(manifest: pd.DataFrame) -> str | None:
    """Return the stamp of every result on this manifest because of unknown speakers; ``None`` if all are known."""
    unknown = is_unknown(manifest)
    if not unknown.any():
        return None
    part = "" if unknown.all() else f"{int(unknown.sum())} of {len(manifest)} clips; "
    by = sorted(manifest[STANDS_IN].dropna().unique()) if STANDS_IN in manifest else []
    return f"{SPEAKERS_UNKNOWN} ({part}split by {' and '.join(by) or 'nothing'})"


def _groups(clips: pd.DataFrame) -> tuple[Literal["folder", "recording"], pd.Series]:
    """Return what the clips of a corpus are kept together by, and the group of each, relative to their common folder."""
    paths = clips["path"].map(os.path.abspath)
    parents = paths.map(os.path.dirname)
    above = os.path.commonpath(list(parents.unique()))
    emotions = clips["emotion"].groupby(parents).nunique()
    by_folder = len(emotions) >= FEWEST_FOLDERS and bool((emotions != 1).all())
    chosen = parents if by_folder else paths
    names = {path: PurePath(os.path.relpath(path, above)).as_posix() for path in chosen.unique()}
    return "folder" if by_folder else "recording", chosen.map(names)
