"""The length of recordings by the headers of their files, before anything is decoded."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ser.corpora.manifest import Utterance


@dataclass(frozen=True)
class Lengths:
    """The length of clips.

    Attributes:
        hours: Of all clips; of a sample of the headers it is an estimate. ``None`` if no header could be read.
        files, read: Number of files whose length is needed, and of those whose header was read.
        unreadable: The files among those read that are no audio, each with the reason.
    """

    hours: float | None
    files: int
    read: int
    unreadable: dict[str, str]


def lengths(clips: Sequence[Utterance], most: int | None = None, seed: int = 0) -> Lengths:
    """Read the headers of the files of some clips, in threads.

    Args:
        clips: The clips. A piece with an end has its length without a header.
        most: Number of headers to read, a random sample where there are more files; ``None`` reads all.
        seed: Of the sample.
    """
    open_ended = [clip for clip in clips if clip.piece is None or clip.piece[1] is None]
    files = list(dict.fromkeys(str(clip.path) for clip in open_ended))
    sample = files
    if most is not None and most < len(files):
        sample = [files[i] for i in np.random.default_rng(seed).choice(len(files), most, replace=False)]
    with ThreadPoolExecutor() as pool:
        found = dict(zip(sample, pool.map(_seconds, sample), strict=True))
    known = {path: seconds for path, seconds in found.items() if isinstance(seconds, float)}
    starts = ((str(clip.path), clip.piece[0] if clip.piece else 0.0) for clip in open_ended)
    lengths = [known[path] - start for path, start in starts if path in known]
    pieces = sum(clip.piece[1] - clip.piece[0] for clip in clips if clip.piece and clip.piece[1] is not None)
    hours = (pieces + len(open_ended) * float(np.mean(lengths or [0.0]))) / 3600
    unreadable = {path: reason for path, reason in found.items() if isinstance(reason, str)}
    return Lengths(hours if lengths or not open_ended else None, len(files), len(sample), unreadable)


def _seconds(path: str) -> float | str:
    """Return the length of a file in seconds, or why its header cannot be read."""
    import soundfile

    try:
        return float(soundfile.info(path).duration)
    except (soundfile.LibsndfileError, OSError) as error:
        return str(getattr(error, "error_string", error)).strip(" .\n")
