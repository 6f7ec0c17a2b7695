"""Features are computed once whatever happens meanwhile, and are those that computing them every time would give."""

import errno
import json
import multiprocessing
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ser.datamodules import cache
from ser.datamodules.cache import FeatureCache, open_cache
from ser.errors import ConfigError

CPU = torch.device("cpu")
COUNT, WIDTH = 23, 3
KEY = {"encoder": "tiny"}


def clip(row: int) -> Tensor:
    """The features of an utterance, ``(feature, frame)``: 1 to 7 frames."""
    generator = torch.Generator().manual_seed(int(row))
    return torch.randn(WIDTH, 1 + row * 5 % 7, generator=generator)


class Computer:
    """Computes features in batches of four, and counts what it was asked for; ends as a process does at ``stop``."""

    def __init__(self, stop: int | None = None, order: int = -1) -> None:
        self.rows: list[int] = []
        self.stop, self.order = stop, order

    def __call__(self, rows: np.ndarray) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        order = rows[:: self.order].copy()  # the cache can take none for granted
        for start in range(0, len(order), 4):
            if self.stop is not None and len(self.rows) >= self.stop:
                raise ProcessLookupError("stands for whatever ends a process")
            some = order[start : start + 4]
            self.rows += some.tolist()
            clips = [clip(row) for row in some]
            frames = torch.tensor([c.shape[1] for c in clips])
            junk = torch.full((len(some), WIDTH, int(frames.max()) + 2), 99.0)
            for padded, c in zip(junk, clips, strict=True):
                padded[:, : c.shape[1]] = c
            yield torch.from_numpy(some), junk, frames


def opened(stores: Path, compute: Computer | None = None, key: dict[str, Any] = KEY) -> FeatureCache:
    return open_cache(stores, key, COUNT, WIDTH, compute or Computer(stop=0))


def check(found: FeatureCache) -> None:
    """Every utterance's features are there, alone and in batches in any order."""
    orders = [[row] for row in range(COUNT)] + [torch.randperm(COUNT).tolist(), [5, 5, 0], [COUNT - 1]]
    for rows in orders:
        features, frames = found.gather(torch.tensor(rows), CPU)
        assert features.shape == (len(rows), WIDTH, int(frames.max()))
        for row, padded, n in zip(rows, features, frames.tolist(), strict=True):
            assert torch.equal(padded[:, :n], clip(row))
            assert not padded[:, n:].any()


def folder_of(stores: Path) -> Path:
    (folder,) = (path for path in stores.iterdir() if path.is_dir())
    return folder


def test_cached_features_are_not_computed_again(tmp_path: Path) -> None:
    compute = Computer()
    check(opened(tmp_path / "stores", compute))
    assert sorted(compute.rows) == list(range(COUNT))
    check(opened(tmp_path / "stores"))
    assert json.loads((folder_of(tmp_path / "stores") / "card.json").read_text())["encoder"] == "tiny"


def test_each_key_has_its_own_folder(tmp_path: Path) -> None:
    check(opened(tmp_path, Computer()))
    compute = Computer()
    check(opened(tmp_path, compute, {"encoder": "other"}))
    assert len(compute.rows) == COUNT
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2


def stopped(stores: Path, after: int) -> Path:
    with pytest.raises(ProcessLookupError):
        opened(stores, Computer(stop=after))
    return folder_of(stores)


@pytest.mark.parametrize("after", [0, 4, 12, 20])
def test_stopped_job_resumes_where_it_stopped(tmp_path: Path, after: int) -> None:
    stopped(tmp_path, after)
    compute = Computer()
    check(opened(tmp_path, compute))
    assert sorted(compute.rows) == list(range(COUNT - after))
    check(opened(tmp_path))


@pytest.mark.parametrize("features", [0, 4, 40])
@pytest.mark.parametrize("records", [0, 5, 16])
def test_partial_batch_at_the_end_is_removed(tmp_path: Path, features: int, records: int) -> None:
    folder = stopped(tmp_path, 8)
    index = next(iter({*folder.iterdir()} - {folder / "features.f32"}))
    with (folder / "features.f32").open("ab") as file:
        file.write(b"\x01" * features)
    with index.open("ab") as file:  # whole records point to frames that are not all there
        file.write(np.array([0, 99], "<i8").tobytes()[:records])
    compute = Computer()
    check(opened(tmp_path, compute))
    assert sorted(compute.rows) == list(range(COUNT - 8))


def test_truncated_features_are_computed_again(tmp_path: Path) -> None:
    folder = stopped(tmp_path, 8)
    with (folder / "features.f32").open("r+b") as file:
        file.truncate(file.seek(0, 2) - 4)
    compute = Computer()
    check(opened(tmp_path, compute))
    assert len(compute.rows) == COUNT - 7


@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_truncated_finished_file_is_completed(tmp_path: Path, left: float) -> None:
    check(opened(tmp_path, Computer()))
    features = folder_of(tmp_path) / "features.f32"
    whole = features.read_bytes()
    features.write_bytes(whole[: int(left * len(whole))])
    compute = Computer()
    check(opened(tmp_path, compute))
    assert (left == 0) == (len(compute.rows) == COUNT)
    check(opened(tmp_path))


@pytest.mark.parametrize("when", ["before", "behind"])
def test_interrupted_completion_leaves_no_wrong_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    check(opened(tmp_path, Computer()))
    features = folder_of(tmp_path) / "features.f32"
    features.write_bytes(features.read_bytes()[:100])
    if when == "before":
        with pytest.raises(ProcessLookupError):
            opened(tmp_path, Computer(stop=4, order=1))
    else:  # all features written, in another order than before, but not the card
        with monkeypatch.context() as patch:
            patch.setattr(cache, "write_json", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                opened(tmp_path, Computer(order=1))
    check(opened(tmp_path, Computer()))


@pytest.mark.parametrize("name", ["features.f32", "card.json", "all but the features"])
def test_deleted_file_is_computed_again(tmp_path: Path, name: str) -> None:
    check(opened(tmp_path, Computer()))
    for file in folder_of(tmp_path).iterdir():
        if (file.name == name) or (name == "all but the features" and file.suffix not in (".f32", ".json")):
            file.unlink()
    check(opened(tmp_path, Computer()))


def test_full_disk_is_reported_and_written_features_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append, written = cache._append, []

    def full(file: Any, rows: Tensor, *more: Tensor) -> np.ndarray:
        if len(written) == 3:
            file.write(b"half a batch")
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(rows)
        return append(file, rows, *more)

    with monkeypatch.context() as patch:
        patch.setattr(cache, "_append", full)
        with pytest.raises(
            ConfigError,
            match=r"No space left.*GiB are free.*again to resume.*model\.encoder\.layer.*model\.encoder\.cache=false",
        ):
            opened(tmp_path, Computer())
    compute = Computer()
    check(opened(tmp_path, compute))
    assert sorted(compute.rows) == list(range(COUNT - 12))


class Slow(Computer):
    def __call__(self, rows: np.ndarray) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for batch in super().__call__(rows):
            time.sleep(0.05)
            yield batch


def test_concurrent_threads_compute_once(tmp_path: Path) -> None:
    compute, caches = Slow(), list[FeatureCache]()
    threads = [threading.Thread(target=lambda: caches.append(opened(tmp_path, compute))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(compute.rows) == list(range(COUNT))
    assert len(caches) == 4
    for found in caches:
        check(found)


def open_and_note(stores: Path, notes: Path) -> None:
    compute = Slow()
    check(opened(stores, compute))
    (notes / f"{multiprocessing.current_process().name}.json").write_text(json.dumps(compute.rows))


def test_concurrent_processes_compute_once(tmp_path: Path) -> None:
    stores, notes = tmp_path / "stores", tmp_path / "notes"
    notes.mkdir()
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=open_and_note, args=(stores, notes)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    asked = [json.loads(file.read_text()) for file in notes.iterdir()]
    assert sorted(map(len, asked)) == [0, COUNT]
