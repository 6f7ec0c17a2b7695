"""Cache of features that training does not change: computed once per utterance, then read from a memory-mapped file.

A cache is a folder beside the waveform stores, named by a hash of what its features depend on:

- ``features.f32``: the frames of all utterances end to end, little-endian float32, each frame with all its features, then as
  many zeros as the longest utterance has frames, so that a window of that length fits from any utterance's start
- ``index.i64``: little-endian int64 ``(utterance, 2)``, the row of the data module's manifest and its frames, in that order
- ``card.json``: what the features depend on, and their counts

It grows utterance by utterance under a lock: an interrupted job resumes where it stopped, and two jobs that start together
compute once.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ser.errors import ConfigError
from ser.runtime.files import write_json

log = logging.getLogger(__name__)

Compute = Callable[[np.ndarray], Iterator[tuple[Tensor, Tensor, Tensor]]]
"""Maps rows of the manifest to batches: rows, features ``(batch, feature, frame)``, and their lengths in frames."""
Features = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""``(waveform, lengths)`` to ``(features, frames)``, as the modules of `ser.features`."""
FORMAT = 1
"""Increased when the format changes, so that older caches are computed again."""
RECORD = np.dtype("<i8")
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk, or of a user's full share of it."""


class FeatureCache:
    """The features of every utterance of a data module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.n_features: int = json.loads((folder / "card.json").read_text())["n_features"]
        index = np.fromfile(folder / "index.i64", RECORD).reshape(-1, 2)
        rows = torch.from_numpy(index[:, 0])
        ends = torch.from_numpy(index[:, 1].cumsum())
        self._frames, self._start = torch.zeros(2, len(index), dtype=torch.int64)
        self._frames[rows] = torch.from_numpy(index[:, 1])
        self._start[rows] = ends - torch.from_numpy(index[:, 1])

    @cached_property
    def _flat(self) -> Tensor:
        # Copy on write: nothing writes, but torch warns of an array that cannot be written to.
        return torch.from_numpy(np.memmap(self.folder / "features.f32", dtype="<f4", mode="c"))

    def gather(self, rows: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the features of some rows of the manifest, on a device.

        Shapes:
            - rows: ``(batch,)``
            - returns: ``(batch, feature, frame)`` float32, zero beyond a clip's frames, and ``(batch,)`` in frames
        """
        rows = rows.cpu()
        frames = self._frames[rows]
        longest = int(frames.max())
        windows = self._flat.unfold(0, longest * self.n_features, self.n_features)
        found = windows[self._start[rows]].view(len(rows), longest, self.n_features).mT
        found, frames = found.to(device), frames.to(device)
        return found * (torch.arange(longest, device=device) < frames[:, None])[:, None], frames


def open_cache(stores: Path, key: Mapping[str, Any], count: int, n_features: int, compute: Compute) -> FeatureCache:
    """Open the cache of some features. Missing features are computed first.

    Raises:
        ConfigError: If the disk is full.
    """
    from filelock import FileLock

    text = json.dumps({"format": FORMAT, **key}, sort_keys=True)
    folder = stores / f"features-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not _is_whole(folder):
        stores.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not _is_whole(folder):
                _compute(folder, json.loads(text), count, n_features, compute)
    return FeatureCache(folder)


def _is_whole(folder: Path) -> bool:
    """Whether a cache is complete: finished, and its files neither truncated nor deleted since."""
    if not all((folder / name).is_file() for name in ("card.json", "features.f32", "index.i64")):
        return False
    card = json.loads((folder / "card.json").read_text())
    features = 4 * card["n_features"] * (card["frames"] + card["longest"])
    sizes = {"features.f32": features, "index.i64": RECORD.itemsize * 2 * card["utterances"]}
    return all((folder / name).stat().st_size == size for name, size in sizes.items())


def _compute(folder: Path, key: Mapping[str, Any], count: int, n_features: int, compute: Compute) -> None:
    """Append the missing features to an unfinished cache, then finish it: its card is written last."""
    from rich.progress import Progress

    folder.mkdir(exist_ok=True)
    index = _whole_records(folder, n_features)
    missing = np.setdiff1d(np.arange(count), index[:, 0])
    log.info("Computing the features of %d utterances (%d are cached): %s", len(missing), len(index), folder)
    try:
        with (
            (folder / "features.f32").open("ab") as features_file,
            (folder / "index.i64").open("ab") as index_file,
            Progress(transient=True) as progress,
        ):
            bar = progress.add_task("Features", total=len(missing))
            for rows, features, frames in compute(missing) if len(missing) else ():
                records = _append(features_file, rows, features, frames)
                index_file.write(records.tobytes())
                index_file.flush()
                index = np.concatenate([index, records])
                progress.advance(bar, len(records))
            longest = int(index[:, 1].max())
            features_file.write(np.zeros(longest * n_features, "<f4").tobytes())
    except OSError as error:
        if error.errno not in FULL:
            raise
        free = shutil.disk_usage(folder).free / 2**30
        raise ConfigError(
            f"{folder} cannot be written ({error.strerror}; {free:.1f} GiB are free). Make room and run the same command "
            "again to resume. model.head.pool=mean or a single model.encoder.layer needs less; model.encoder.cache=false "
            "needs none."
        ) from error
    counts = {"n_features": n_features, "utterances": count, "frames": int(index[:, 1].sum()), "longest": longest}
    write_json({**key, **counts}, folder / "card.json")


def _append(file: Any, rows: Tensor, features: Tensor, frames: Tensor) -> np.ndarray:
    """Write the frames of a batch and return its records."""
    for clip, count in zip(features.float().cpu().mT.numpy(), frames.tolist(), strict=True):
        file.write(np.ascontiguousarray(clip[:count], dtype="<f4").tobytes())
    file.flush()
    return np.stack([rows.cpu().numpy(), frames.cpu().numpy()], axis=1).astype(RECORD)


def _whole_records(folder: Path, n_features: int) -> np.ndarray:
    """Return the complete records of an unfinished cache; a partly written batch at its end is cut off."""
    features, index = folder / "features.f32", folder / "index.i64"
    if not (features.exists() and index.exists()):
        features.write_bytes(b"")
        index.write_bytes(b"")
        return np.empty((0, 2), RECORD)
    raw = np.frombuffer(index.read_bytes()[: index.stat().st_size // 16 * 16], RECORD).reshape(-1, 2)
    ends = raw[:, 1].cumsum() * n_features * 4
    whole = raw[ends <= features.stat().st_size]
    os.truncate(index, 16 * len(whole))
    os.truncate(features, int(ends[len(whole) - 1]) if len(whole) else 0)
    return whole
