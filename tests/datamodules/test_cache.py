"""Features are computed once whatever happens meanwhile, and are those that computing them every time would give."""

import errno
import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ser import experiment
from ser.datamodules import cache
from ser.datamodules.cache import FeatureCache, open_cache
from ser.datamodules.speech import SpeechDataModule
from ser.encoders.waveform import WaveformEncoder
from ser.errors import ConfigError
from ser.evaluation import predictions
from ser.inference import score
from ser.models.pretrained import Pretrained
from tests.checkpoints import save_brisk
from tests.conftest import Settings

CPU = torch.device("cpu")
COUNT, WIDTH = 23, 3
KEY = {"encoder": "tiny"}
LORA = "model.lora={rank: 2, alpha: 4}"


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


def test_what_was_computed_is_found_and_not_computed_again(tmp_path: Path) -> None:
    compute = Computer()
    check(opened(tmp_path / "stores", compute))
    assert sorted(compute.rows) == list(range(COUNT))
    check(opened(tmp_path / "stores"))
    assert json.loads((folder_of(tmp_path / "stores") / "card.json").read_text())["encoder"] == "tiny"


def test_each_key_has_a_folder_of_its_own(tmp_path: Path) -> None:
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
def test_a_job_that_was_stopped_goes_on_where_it_stopped(tmp_path: Path, after: int) -> None:
    stopped(tmp_path, after)
    compute = Computer()
    check(opened(tmp_path, compute))
    assert sorted(compute.rows) == list(range(COUNT - after))
    check(opened(tmp_path))


@pytest.mark.parametrize("features", [0, 4, 40])
@pytest.mark.parametrize("records", [0, 5, 16])
def test_half_a_batch_behind_whole_ones_is_cut_off(tmp_path: Path, features: int, records: int) -> None:
    folder = stopped(tmp_path, 8)
    index = next(iter({*folder.iterdir()} - {folder / "features.f32"}))
    with (folder / "features.f32").open("ab") as file:
        file.write(b"\x01" * features)
    with index.open("ab") as file:  # whole records point to frames that are not all there
        file.write(np.array([0, 99], "<i8").tobytes()[:records])
    compute = Computer()
    check(opened(tmp_path, compute))
    assert sorted(compute.rows) == list(range(COUNT - 8))


def test_features_that_were_cut_behind_their_records_are_computed_again(tmp_path: Path) -> None:
    folder = stopped(tmp_path, 8)
    with (folder / "features.f32").open("r+b") as file:
        file.truncate(file.seek(0, 2) - 4)
    compute = Computer()
    check(opened(tmp_path, compute))
    assert len(compute.rows) == COUNT - 7


@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_a_finished_file_that_was_cut_short_is_filled_up(tmp_path: Path, left: float) -> None:
    check(opened(tmp_path, Computer()))
    features = folder_of(tmp_path) / "features.f32"
    whole = features.read_bytes()
    features.write_bytes(whole[: int(left * len(whole))])
    compute = Computer()
    check(opened(tmp_path, compute))
    assert (left == 0) == (len(compute.rows) == COUNT)
    check(opened(tmp_path))


@pytest.mark.parametrize("when", ["before", "behind"])
def test_filling_up_that_is_stopped_leaves_nothing_wrong(
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
def test_a_file_that_was_deleted_is_made_again(tmp_path: Path, name: str) -> None:
    check(opened(tmp_path, Computer()))
    for file in folder_of(tmp_path).iterdir():
        if (file.name == name) or (name == "all but the features" and file.suffix not in (".f32", ".json")):
            file.unlink()
    check(opened(tmp_path, Computer()))


def test_a_full_disk_is_said_and_what_was_written_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
            ConfigError, match=r"No space left.*GiB are free.*goes on.*model\.layer.*model\.cache=false"
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


def test_threads_that_start_together_compute_once(tmp_path: Path) -> None:
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


def test_processes_that_start_together_compute_once(tmp_path: Path) -> None:
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


# ---- of an encoder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_brisk(tmp_path_factory.mktemp("checkpoints") / "tiny", "wav2vec2 base")


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many clips went through encoders, batch by batch."""
    forward, seen = WaveformEncoder.forward, list[int]()

    def watched(encoder: WaveformEncoder, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(len(lengths))
        return forward(encoder, waveform, lengths)

    monkeypatch.setattr(WaveformEncoder, "forward", watched)
    return seen


Config = Callable[..., dict[str, Any]]


@pytest.fixture
def config(settings: Settings, checkpoint: Path, tmp_path: Path) -> Config:
    """Settings of a frozen encoder, with stores of the test's own."""

    def made(*overrides: str) -> dict[str, Any]:
        chosen = [f"model.checkpoint={checkpoint}", "model.hidden=16", f"paths.stores={tmp_path / 'stores'}"]
        return settings("model=wav2vec2", *chosen, *overrides)

    return made


def made_of(config: dict[str, Any]) -> tuple[Pretrained, SpeechDataModule]:
    data = experiment.build_data(config, fold=0)
    data.prepare_data()
    data.setup()
    model = experiment.build_model(config, data)
    assert isinstance(model, Pretrained)
    return model, data


def remember(model: Pretrained, data: SpeechDataModule) -> Path:
    """The folder in which the features are."""
    key = model.cache_key()
    assert key is not None
    with model.evaluating():
        data.remember(key, model.features, model.n_features, CPU)
    assert data._cache is not None
    return data._cache.folder


@pytest.mark.parametrize("settings_of", [("model.pool=attentive",), ("model.pool=mean", "model.layer=1"), ()])
def test_remembered_features_are_those_of_the_waveforms(config: Config, settings_of: tuple[str, ...]) -> None:
    model, data = made_of(config(*settings_of))
    rows = np.random.default_rng(0).permutation(36)
    with model.evaluating():
        plain = {
            int(i): (f[:, :n], n, speaker, target)
            for b in data.batches(rows, CPU, 5)
            for i, f, n, speaker, target in zip(
                b.index, *model.features(b.waveform, b.lengths), b.speaker, b.target, strict=True
            )
        }
    remember(model, data)
    assert data.remembers
    for batch in data.batches(rows, CPU, 7):
        assert batch.features is not None
        assert batch.waveform.shape == (len(batch.index), 0)
        for i, f, n, speaker, target in zip(batch.index, *batch.features, batch.speaker, batch.target, strict=True):
            expected, frames, who, what = plain.pop(int(i))
            assert (n, speaker, target) == (frames, who, what)
            torch.testing.assert_close(f[:, :n], expected, atol=1e-5, rtol=0)
            assert not f[:, n:].any()
    assert not plain
    data.forget()
    (batch,) = data.batches(rows[:3], CPU, 3)
    assert batch.features is None
    assert batch.waveform.shape[1] > 8000


def test_a_cache_is_known_by_all_that_its_features_depend_on(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And by no more: the head and the fold are of no matter."""
    save_brisk(tmp_path / "seed1", "wav2vec2 base", seed=1)
    save_brisk(tmp_path / "copy" / "of it", "wav2vec2 base")
    save_brisk(tmp_path / "whisper", "whisper 80")
    monkeypatch.setattr(cache, "_compute", lambda *_: None)
    monkeypatch.setattr("ser.datamodules.speech.open_cache", lambda *a: cache.open_cache(*a))
    monkeypatch.setattr(cache, "FeatureCache", lambda folder: type("Named", (), {"folder": folder})())

    def folder(*overrides: str) -> Path:
        return remember(*made_of(config(*overrides)))

    usual = folder()
    assert folder("model.hidden=null", "fold=1", "seed=3", "model.dropout=0") == usual
    assert folder(f"model.checkpoint={tmp_path / 'copy' / 'of it'}") == usual
    whisper = ["model=whisper", f"model.checkpoint={tmp_path / 'whisper'}"]
    others = [
        folder(f"model.checkpoint={tmp_path / 'seed1'}"),
        folder("model.layer=1"),
        folder("model.layer=2"),
        folder("model.pool=mean"),
        folder("model.pool=attentive"),
        folder("audio.trim_db=null"),
        folder("labels=four"),
        folder(*whisper),
        folder(*whisper, "model.silence=0.5"),
    ]
    assert len({usual, *others}) == 10


@pytest.mark.parametrize("overrides", [("model.trained=1",), (LORA,), ("model.cache=false",)])
def test_what_changes_or_is_not_to_be_kept_is_not_remembered(config: Config, overrides: tuple[str, ...]) -> None:
    model, _ = made_of(config(*overrides))
    assert model.cache_key() is None


def test_clips_that_are_changed_before_they_are_heard_are_not_remembered(config: Config) -> None:
    """As by an augmentation of waveforms, which never gives the same clip twice."""
    model, _ = made_of(config())
    model.waveform_augment.append(torch.nn.Identity())
    assert model.cache_key() is None


def test_an_encoder_hears_every_clip_once_in_all_epochs_folds_and_runs(config: Config, heard: list[int]) -> None:
    experiment.train(config("fold=all", "trainer.max_epochs=2"))
    assert sum(heard) == 36
    experiment.train(config("seed=1", "model.hidden=8"))
    assert sum(heard) == 36


def test_a_training_that_is_stopped_while_it_computes_goes_on(
    config: Config, heard: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser.datamodules.speech.SECONDS_A_BATCH", 8)
    forward = WaveformEncoder.forward

    def stop(*arguments: Any) -> Any:
        if len(heard) == 4:
            raise ProcessLookupError("stands for whatever ends a process")
        return forward(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(WaveformEncoder, "forward", stop)
        with pytest.raises(ProcessLookupError):
            experiment.train(config())
    done = sum(heard)
    assert 0 < done < 36
    experiment.train(config())
    assert sum(heard) == 36


def test_without_a_cache_the_same_comes_out(config: Config, heard: list[int]) -> None:
    remembered = experiment.train(config("trainer.max_epochs=3"))
    heard.clear()
    plain = experiment.train(config("trainer.max_epochs=3", "model.cache=false"))
    assert sum(heard) > 3 * 24
    one, two = (predictions.probabilities(predictions.read(f / "predictions.parquet")) for f in (remembered, plain))
    # Rounding of features by the batch that they are computed in, through a few steps of AdamW.
    np.testing.assert_allclose(one, two, atol=1e-4, rtol=0)
    assert np.ptp(one, axis=0).max() > 1e-2


def test_speech_that_is_changed_is_heard_and_not_remembered(config: Config, heard: list[int]) -> None:
    model, data = made_of(config())
    rows = data.split.test
    direct = score.probabilities(model, data, rows)
    remember(model, data)
    heard.clear()
    np.testing.assert_allclose(score.probabilities(model, data, rows), direct, atol=1e-5, rtol=0)
    assert heard == []
    louder = score.probabilities(
        model, data, rows, lambda b: b._replace(waveform=b.waveform + 0.5 * b.waveform.square())
    )
    assert sum(heard) == len(rows)
    assert np.abs(louder - direct).max() > 1e-3
    remember(model, data)
    same = score.probabilities(model, data, rows, lambda batch: batch)
    np.testing.assert_allclose(same, direct, atol=1e-5, rtol=0)
    assert sum(heard) == 2 * len(rows)
