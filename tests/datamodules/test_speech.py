import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from ser.corpora.corpus import Corpus
from ser.corpora.crema import Crema
from ser.corpora.demo import Demo
from ser.corpora.labels import LabelScheme
from ser.corpora.ravdess import Ravdess
from ser.datamodules.batch import Batch
from ser.datamodules.data import Loading, SpeechData
from ser.datamodules.speech import SpeechDataModule
from ser.errors import BadCorpusError, ConfigError, LabelError, SplitError
from ser.protocols.random_split import RandomUtterances
from ser.protocols.split import Split, from_speakers
from ser.protocols.stamps import SYNTHETIC

CPU = torch.device("cpu")
LOADING = [(True, 0), (False, 0), (False, 2)]


def tensors(batch: Batch) -> list[torch.Tensor]:
    """Of a batch: all but features, which these have not, and how many clips other processes have beside."""
    return [part for part in batch if isinstance(part, torch.Tensor)]


def training(data: SpeechData) -> DataLoader[Any]:
    return SpeechDataModule(data).train_dataloader()


def dev(data: SpeechData) -> DataLoader[Any]:
    return SpeechDataModule(data).val_dataloader()


def batches(data: SpeechData, loader: Iterable[Any], device: torch.device = CPU) -> list[Batch]:
    return [data.to_device(loaded, device) for loaded in loader]


def wrote(data: SpeechData, row: int) -> np.ndarray:
    """What the row's file holds, read apart from the store."""
    return soundfile.read(data.labelled.manifest["path"][row], dtype="int16")[0]


def assert_true_to_the_files(data: SpeechData, got: Sequence[Batch]) -> None:
    for batch in got:
        assert batch.waveform.shape == (len(batch.index), int(batch.lengths.max()))
        assert batch.waveform.dtype == torch.float32
        for i, row in enumerate(batch.index.tolist()):
            expected = wrote(data, row)
            assert int(batch.lengths[i]) == len(expected)
            np.testing.assert_array_equal(batch.waveform[i, : len(expected)].numpy() * 32768, expected)
            assert not batch.waveform[i, len(expected) :].any()
            emotion = data.labelled.manifest["emotion"][row]
            assert data.classes[int(batch.target[i])] == emotion


@pytest.mark.parametrize(("resident", "workers"), LOADING)
def test_batches_have_the_samples_of_every_file_once_per_epoch(make: Any, resident: bool, workers: int) -> None:
    data = make(resident=resident, workers=workers)
    for loader, rows in ((training(data), data.split.train), (dev(data), data.split.dev)):
        got = batches(data, loader)
        assert_true_to_the_files(data, got)
        assert sorted(torch.cat([b.index for b in got]).tolist()) == rows.tolist()
        assert len(loader) == len(got)


def test_loading_from_memory_and_in_workers_gives_equal_bits(make: Any, savee: Corpus, ravdess: Corpus) -> None:
    runs = []
    for resident, workers in LOADING:
        data = make(ravdess, savee, resident=resident, workers=workers)
        loader = training(data)
        loader.sampler.set_epoch(1)
        runs.append(batches(data, loader))
    for other in runs[1:]:
        assert len(other) == len(runs[0]) > 3
        for one, two in zip(runs[0], other, strict=True):
            for a, b in zip(tensors(one), tensors(two), strict=True):
                assert a.dtype == b.dtype
                assert a.shape == b.shape
                assert a.numpy().tobytes() == b.numpy().tobytes()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("resident", "workers"), LOADING)
def test_gpu_and_cpu_get_equal_bits(make: Any, resident: bool, workers: int) -> None:
    cpu, gpu = make(), make(resident=resident, workers=workers)
    device = torch.device("cuda", 0)
    for one, two in zip(cpu.batches(cpu.split.test, CPU), gpu.batches(gpu.split.test, device), strict=True):
        assert all(part.device == device for part in tensors(two))
        pairs = zip(tensors(one), tensors(two), strict=True)
        assert all(a.numpy().tobytes() == b.cpu().numpy().tobytes() for a, b in pairs)


@pytest.mark.parametrize("resident", [True, False])
def test_several_corpora_are_joined_clip_by_clip(make: Any, ravdess: Corpus, savee: Corpus, resident: bool) -> None:
    data = make(ravdess, savee, resident=resident)
    manifest = data.labelled.manifest
    assert manifest["corpus"].value_counts().to_dict() == {"ravdess": 54, "savee": 28}
    assert manifest["id"].is_unique
    got = list(data.batches(np.arange(len(manifest)), CPU))
    assert_true_to_the_files(data, got)
    assert sum(len(b.index) for b in got) == 82
    assert data.plan.fingerprint == f"{make(ravdess).plan.fingerprint}+{make(savee).plan.fingerprint}"


@pytest.fixture
def replaced(make: Any) -> Iterator[Path]:
    """The card of a store, as if another process had replaced the store after it was opened."""
    file = make().plan.stores[0].folder / "card.json"
    card = file.read_text()
    yield file
    file.write_text(card)


@pytest.mark.parametrize("resident", [True, False])
def test_store_that_is_replaced_is_never_read_with_the_old_rows(make: Any, replaced: Path, resident: bool) -> None:
    data = make(resident=resident)
    before = list(data.batches(data.split.test, CPU))
    replaced.write_text(json.dumps(json.loads(replaced.read_text()) | {"fingerprint": "another"}))
    if resident:  # mapped while it was there
        after = list(data.batches(data.split.test, CPU))
        assert all(torch.equal(one.waveform, two.waveform) for one, two in zip(before, after, strict=True))
    else:
        with pytest.raises(BadCorpusError, match="must stay as it is while it is read; it was replaced"):
            list(data.batches(data.split.test, CPU))


def test_dropped_labels_do_not_shift_the_audio(make: Any) -> None:
    data = make(labels=LabelScheme("some", ("sad", "angry")))
    assert len(data.labelled.manifest) == 18
    assert_true_to_the_files(data, list(data.batches(np.arange(18), CPU)))


def test_batches_of_chosen_rows_come_once_longest_first(make: Any) -> None:
    data = make()
    rows = np.array([50, 3, 17, 8, 9])
    got = list(data.batches(rows, CPU, batch_size=2))
    assert [len(b.index) for b in got] == [2, 2, 1]
    assert sorted(torch.cat([b.index for b in got]).tolist()) == sorted(rows)
    assert (torch.cat([b.lengths for b in got]).diff() <= 0).all()


class Recorder(L.LightningModule):
    """Writes down the rows of every training batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, list[int]]] = []

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        self.seen.append((self.current_epoch, batch.index.tolist()))
        return self.weight * batch.waveform.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


def orders(data: SpeechData, epochs: int) -> list[list[list[int]]]:
    """Batches of every epoch of a real training."""
    recorder = Recorder()
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(recorder, datamodule=SpeechDataModule(data))
    return [[rows for e, rows in recorder.seen if e == epoch] for epoch in range(epochs)]


def test_training_sees_every_clip_per_epoch_in_an_order_of_the_seed(make: Any) -> None:
    data = make(seed=5)
    first = orders(data, 3)
    assert first == orders(make(seed=5), 3)
    assert first[0] != orders(make(seed=6), 1)[0]
    assert len({str(order) for order in first}) == 3
    for order in first:
        assert sorted(row for batch in order for row in batch) == data.split.train.tolist()


def test_class_counts_are_those_of_the_training_side(make: Any) -> None:
    counts = []
    for fold in range(3):
        data = make(fold=fold)
        paths = data.labelled.manifest["path"].iloc[data.split.train]
        codes = [Path(path).stem.split("-")[2] for path in paths]  # the emotion, as the file's name has it
        assert data.class_counts() == {emotion: codes.count(f"{i:02d}") for i, emotion in sorted_codes()}
        counts.append((data.class_counts()["sad"], data.class_counts()["angry"]))
    assert len(set(counts)) > 1  # the folds train on other speakers


def sorted_codes() -> list[tuple[int, str]]:
    """Codes of RAVDESS with their emotions, in the order of the emotions."""
    return sorted(enumerate(CODES, 1), key=lambda item: item[1])


CODES = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")


class Uneven:
    """One fold whose training lacks the class ``calm``."""

    name = "uneven"

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        split = from_speakers(manifest, 0, dev={"ravdess/01"}, test={"ravdess/02"})
        calm = np.flatnonzero(manifest["emotion"] == "calm")
        return [Split(0, np.setdiff1d(split.train, calm), split.dev, split.test)]


def test_class_without_training_clips_is_named(make: Any) -> None:
    with pytest.raises(SplitError, match="Fold 0: train has no utterance of the class calm"):
        make(protocol=Uneven())


def test_changed_test_clip_does_not_change_training(ravdess: Corpus, make: Any, tmp_path: Path) -> None:
    root = shutil.copytree(ravdess.root, tmp_path / "ravdess")
    before = make(Ravdess(root))
    trained, counts = batches(before, training(before)), before.class_counts()
    tested = list(before.batches(before.split.test, CPU))
    for row in before.split.test[:3]:
        louder = np.random.default_rng(row).integers(-30000, 30000, 15000).astype(np.int16)
        soundfile.write(before.labelled.manifest["path"][row], louder, 16000)
    after = make(Ravdess(root))
    for one, two in zip(trained, batches(after, training(after)), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(two), strict=True))
    assert after.class_counts() == counts
    assert after.split.hash(after.labelled.manifest) == before.split.hash(before.labelled.manifest)
    assert after.plan.fingerprint != before.plan.fingerprint
    assert tested[0].lengths.tolist() != next(iter(after.batches(after.split.test, CPU))).lengths.tolist()


def test_votes_become_soft_targets_of_their_clips(make: Any, tmp_path: Path) -> None:
    codes, letters = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), "ADFHNS"
    votes = ['"","A","D","F","H","N","S","fileName"']
    expected = {}
    for actor in range(1001, 1007):
        for i, code in enumerate(codes):
            name = f"{actor}_DFA_{code}_XX"
            samples = np.full(2000 + 31 * actor % 97 + i, 5000 + len(expected), np.int16)
            samples[::2] *= -1  # a constant is silence
            soundfile.write(tmp_path / f"{name}.wav", samples, 16000)
            counts = [1] * 6
            counts[i] = actor - 997  # 4 to 9 of 9 to 14 votes
            votes.append(f"1{len(votes):05d},{','.join(map(str, counts))},{name}")
            expected[f"crema/{name}"] = np.array(counts) / sum(counts)
    (tmp_path / "tabulatedVotes.csv").write_text("\n".join(votes) + "\n")
    seen = 0
    for resident in (True, False):
        data = make(Crema(tmp_path), labels=LabelScheme("native", target="distribution"), resident=resident)
        assert [c[0].upper() for c in data.classes] == list(letters)
        for batch in data.batches(np.arange(36), CPU):
            assert batch.target.dtype == torch.float32
            torch.testing.assert_close(batch.target.sum(dim=1), torch.ones(len(batch.index)))
            for row, target in zip(batch.index.tolist(), batch.target, strict=True):
                name = data.labelled.manifest["id"][row]
                np.testing.assert_allclose(target.numpy(), expected[name], rtol=1e-6)
                seen += 1
    assert seen == 72


@pytest.mark.parametrize(
    ("name", "value"), [("batch_size", 0), ("batch_size", 2.5), ("workers", -1), ("resident", "yes")]
)
def test_invalid_loading_setting_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{name} must be .*; got {value!r}\."):
        Loading(**{name: value})


def test_labels_missing_in_the_corpus_are_an_error(make: Any) -> None:
    with pytest.raises(LabelError, match="requires listeners' votes, but ravdess has none"):
        make(labels=LabelScheme("native", target="plurality"))


@pytest.mark.parametrize("fold", [3, -1])
def test_fold_out_of_range_names_the_range(make: Any, fold: int) -> None:
    with pytest.raises(SplitError, match=rf"fold must be 0 to 2 for protocol=speaker_cv on this data; got {fold}\."):
        make(fold=fold)
    assert make(fold=2).split.fold == 2


class Leaking:
    """Tests on speakers who train, without a stamp."""

    name = "leaking"

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        return [Split(s.fold, s.train, s.dev, s.test) for s in RandomUtterances(3).splits(manifest)]


def test_protocol_that_leaks_speakers_is_an_error(make: Any) -> None:
    with pytest.raises(SplitError, match="train and dev share speakers: ravdess/01"):
        make(protocol=Leaking())
    assert make(protocol=RandomUtterances(3)).split.stamps == ("not speaker-independent",)


def test_synthetic_speech_is_stamped(make: Any, ravdess: Corpus, tiny_demo: Path) -> None:
    assert make(ravdess).stamps == ()
    assert SYNTHETIC in make(Demo(tiny_demo)).stamps
    assert SYNTHETIC in make(ravdess, Demo(tiny_demo)).stamps


def test_auto_keeps_samples_resident_if_possible(make: Any) -> None:
    kinds = []
    for resident in ("auto", True, False):
        loader = training(make(resident=resident, workers=2))
        assert isinstance(loader, DataLoader)
        kinds.append(loader.num_workers)
    assert kinds == [0, 0, 2]
