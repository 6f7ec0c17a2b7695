"""`SpeechDataModule`: one or several corpora, one fold of one protocol, one label scheme.

Where the samples fit on the device they live there as int16, a batch is a list of row numbers until it arrives, and is
gathered and converted on the device. Where they do not fit, workers read them from the memory map.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning as L
import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ser.audio.decode import AudioSettings
from ser.audio.store import Store, prepare
from ser.corpora.corpus import Corpus
from ser.corpora.labels import LabelScheme
from ser.datamodules.batch import Batch
from ser.datamodules.buckets import LengthBuckets
from ser.datamodules.cache import FeatureCache, Features, open_cache
from ser.errors import ConfigError
from ser.protocols.audit import Policy, check_fitted, enforce, stamps
from ser.protocols.plan import SYNTHETIC, plan
from ser.protocols.split import Protocol, Split
from ser.runtime import distributed

log = logging.getLogger(__name__)

FULL_SCALE = 32768.0
SECONDS_A_BATCH = 60
"""Of what computes features to remember."""
RESIDENT_SHARE = 0.5
"""Of the device's free memory; the rest is for the model and its activations."""


class SpeechDataModule(L.LightningDataModule):
    """Utterances with targets, ready to train on.

    After `setup`, `labelled` holds the manifest, targets and classes, `split` the fold's rows, and `findings` the audit's.

    Args:
        corpora: By name; several are trained and tested on together.
        labels: How emotions become classes.
        protocol: Which utterances train, tune and test.
        fold: Which of the protocol's folds.
        stores: Folder that holds the prepared waveform stores.
        settings: How clips are decoded.
        batch_size: Clips a training batch; evaluation takes twice as many.
        resident: Keep all samples on the device: ``True``, ``False``, or ``auto`` (if they take at most half of its free
            memory; on a CPU always, as the memory map itself is gathered from).
        workers: Processes that read the memory map where the samples are not resident.
        seed: Of the order of batches.
        strict: Make a file that cannot be used an error.
        audit: Whether a leak that the protocol does not admit refuses to train (``refuse``), or stamps the result (``warn``).

    Raises:
        ConfigError: If there is no corpus, or a number is out of its range.
    """

    def __init__(
        self,
        corpora: Mapping[str, Corpus],
        labels: LabelScheme,
        protocol: Protocol,
        stores: str,
        fold: int = 0,
        settings: AudioSettings | None = None,
        batch_size: int = 32,
        resident: bool | Literal["auto"] = "auto",
        workers: int = 2,
        seed: int = 0,
        strict: bool = False,
        audit: Policy = "refuse",
    ) -> None:
        super().__init__()
        if not corpora:
            raise ConfigError("There is no corpus: choose one or several, such as data=demo or data=[ravdess,savee].")
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, but a batch has at least 1 clip.")
        if workers < 0:
            raise ConfigError(f"workers is {workers}, but it is a number of processes: 0 or more.")
        self.corpora, self.labels, self.protocol, self.fold = dict(corpora), labels, protocol, fold
        self.stores, self.settings, self.strict, self.audit = stores, settings or AudioSettings(), strict, audit
        self.batch_size, self.resident, self.workers, self.seed = batch_size, resident, workers, seed
        self.parts: list[Store] = []
        self._samples: Tensor | None = None
        self._cache: FeatureCache | None = None

    def prepare_data(self) -> None:
        """Decode what is not decoded yet (once, also if several processes start together)."""
        if self.parts:
            return
        for corpus in self.corpora.values():
            prepare(corpus, self.stores, self.settings, strict=self.strict)

    def setup(self, stage: str | None = None) -> None:
        """Open the stores, apply the labels, choose and check the fold."""
        if self.parts:
            return
        parts = [prepare(corpus, self.stores, self.settings) for corpus in self.corpora.values()]
        planned = plan(parts, self.labels, self.protocol)
        self.labelled, self.folds = planned.labelled, len(planned.splits)
        self.split: Split = planned.split(self.fold)
        self.findings = planned.audit(self.fold)
        enforce(self.findings, self.fold, self.audit)
        self._start = torch.from_numpy(self.labelled.manifest["start"].to_numpy(copy=True))
        self._length = torch.from_numpy(self.labelled.manifest["length"].to_numpy(copy=True))
        soft = self.labelled.soft
        self._target = torch.tensor(self.labelled.target if soft is None else soft.astype(np.float32))
        codes, self.speakers = pd.factorize(self.labelled.manifest["speaker"], sort=True)
        self._speaker = torch.from_numpy(codes.astype(np.int64))
        self.parts = parts  # last: a setup that failed is not taken for done

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return self.labelled.classes

    @property
    def fingerprint(self) -> str:
        """Names the data that a result was had on: the stores' fingerprints, joined."""
        return "+".join(part.fingerprint for part in self.parts)

    @property
    def synthetic(self) -> bool:
        """Whether any of the speech is synthetic, which every result must then say."""
        return any(part.card["synthetic"] for part in self.parts)

    @property
    def stamps(self) -> tuple[str, ...]:
        """The words that every result had on this fold must carry."""
        return (*(SYNTHETIC,) * self.synthetic, *stamps(self.split, self.findings))

    def check_fitted(self, rows: np.ndarray) -> None:
        """Hold what statistics were taken from to the training side; see `ser.protocols.audit.check_fitted`."""
        check_fitted(self.split, rows)

    def class_counts(self) -> dict[str, int]:
        """Return the number of training utterances of each class."""
        counts = np.bincount(self.labelled.target[self.split.train], minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled batches of the training side; of each, this process's share."""
        return self._loader(self.split.train, self.batch_size, self._device(), shuffle=True, share=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """The dev side; of each batch, this process's share."""
        return self._loader(self.split.dev, 2 * self.batch_size, self._device(), shuffle=False, share=True)

    def batches(self, rows: np.ndarray, device: torch.device, batch_size: int | None = None) -> Iterator[Batch]:
        """Every utterance of some rows once, longest first, on a device; no trainer is needed."""
        for loaded in self._loader(rows, batch_size or 2 * self.batch_size, device, shuffle=False):
            yield self.transfer_batch_to_device(loaded, device, 0)

    def remember(self, key: Mapping[str, Any], features: Features, n_features: int, device: torch.device) -> None:
        """Have batches carry features instead of waveforms; those that no cache holds yet are computed.

        Args:
            key: All that the features depend on beside the waveforms, as plain JSON.
            features: Computes them.
            n_features: Features a frame.
            device: Where to compute them.
        """
        self.forget()
        manifest = self.labelled.manifest
        longest = manifest["length"].max() / self.settings.sample_rate
        size = max(1, int(SECONDS_A_BATCH / longest))

        def compute(rows: np.ndarray) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
            for batch in self.batches(rows, device, size):
                with torch.no_grad():
                    yield batch.index, *features(batch.waveform, batch.lengths)

        ids = hashlib.sha256("\n".join(manifest["id"]).encode()).hexdigest()
        whole = {**key, "data": self.fingerprint, "utterances_hash": ids}
        self._cache = open_cache(Path(self.stores).expanduser(), whole, len(manifest), n_features, compute)

    def forget(self) -> None:
        """Have batches carry waveforms again."""
        self._cache = None

    @property
    def remembers(self) -> bool:
        """Whether batches carry features that were computed before."""
        return self._cache is not None

    def _loader(
        self, rows: np.ndarray, batch_size: int, device: torch.device, *, shuffle: bool, share: bool = False
    ) -> DataLoader[Any]:
        resident = self._is_resident(device)
        part, shares = (distributed.process_rank(), distributed.world_size()) if share else (0, 1)
        mine = slice(part, None, shares)  # every so many clips of a batch, which are sorted: like lengths for all
        where = torch.from_numpy(rows)
        lengths = torch.from_numpy(
            self.labelled.manifest["length"].to_numpy()[rows]
        )  # on the CPU, where order is drawn
        return DataLoader(
            _Rows(where, lengths, mine) if resident else _Clips(self, where, lengths, mine),
            batch_size=None,  # the sampler yields whole batches
            sampler=LengthBuckets(lengths, batch_size, shuffle=shuffle, seed=self.seed, shares=shares),
            num_workers=0 if resident else self.workers,
            persistent_workers=not resident and self.workers > 0,
            pin_memory=not resident and device.type == "cuda",
        )

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Batch:
        """Turn what the loader gave (row numbers, perhaps with int16 clips) into a `Batch` on the device."""
        loaded: _Loaded = batch
        if loaded.samples is not None:
            made = self._batch(*(part.to(device, non_blocking=True) for part in (loaded.samples, loaded.index)))
        elif self._cache is not None:
            made = self._remembered(loaded.index, device, self._cache)
        else:
            made = self.gather(loaded.index, device, loaded.longest)
        return made._replace(whole=loaded.whole)

    def gather(self, index: Tensor, device: torch.device, longest: int | None = None) -> Batch:
        """The batch of some rows of the manifest, gathered on the device from the samples that live there.

        Args:
            index: Rows.
            device: Where to.
            longest: Samples that it is padded to; ``None`` is its longest clip's.

        Shapes:
            - index: ``(batch,)``
        """
        samples = self._resident_samples(device)
        index = index.to(samples.device)
        # Overlapping windows of the longest clip's length: a view, of which the rows that start a clip are copied.
        windows = samples.unfold(0, longest or int(self._length[index].max()), 1)
        return self._batch(windows[self._start[index]], index)

    def _remembered(self, index: Tensor, device: torch.device, cache: FeatureCache) -> Batch:
        """The batch of some rows with their features, and a waveform without samples."""
        self._move(device)
        features = cache.gather(index, device)
        index = index.to(device)
        none = torch.empty(len(index), 0, device=device)
        return Batch(none, self._length[index], self._target[index], index, self._speaker[index], features)

    def _batch(self, samples: Tensor, index: Tensor) -> Batch:
        """Int16 ``(batch, sample)`` to a batch; whatever stands beyond a clip's length is made zero."""
        self._move(samples.device)
        lengths = self._length[index]
        beyond = torch.arange(samples.shape[1], device=samples.device) >= lengths[:, None]
        waveform = samples.to(torch.float32).div_(FULL_SCALE).masked_fill_(beyond, 0.0)
        return Batch(waveform, lengths, self._target[index], index, self._speaker[index])

    def _move(self, device: torch.device) -> None:
        if self._length.device != device:
            per_row = (self._start, self._length, self._target, self._speaker)
            self._start, self._length, self._target, self._speaker = (t.to(device) for t in per_row)

    def _resident_samples(self, device: torch.device) -> Tensor:
        if self._samples is None or self._samples.device != device:
            if len(self.parts) == 1:
                joined = self.parts[0].samples
            else:
                clips = [part.samples[: part.card["samples"]] for part in self.parts]
                joined = np.concatenate([*clips, np.zeros(max(part.card["longest"] for part in self.parts), "<i2")])
            self._samples = torch.from_numpy(joined).to(device)
            self._move(device)
        return self._samples

    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def _is_resident(self, device: torch.device) -> bool:
        if self._cache is not None:
            return True
        if self.resident != "auto":
            return self.resident
        if device.type != "cuda":
            return device.type == "cpu"
        needed = sum(2 * part.card["samples"] for part in self.parts)
        already = self._samples is not None and self._samples.device == device
        return already or needed < RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]


class _Loaded(NamedTuple):
    """A process's share of a batch: its rows of the manifest, and how long and how many all of the batch's clips are."""

    index: Tensor  # type: ignore[assignment]  # as in Batch
    longest: int
    whole: int
    samples: Tensor | None = None


class _Rows(Dataset[_Loaded]):
    """Rows of the manifest, by lists of positions: all that travels where the samples are on the device."""

    def __init__(self, rows: Tensor, lengths: Tensor, mine: slice) -> None:
        self.rows, self.lengths, self.mine = rows, lengths, mine

    def __getitem__(self, positions: Iterable[int]) -> _Loaded:
        whole = list(positions)
        return _Loaded(self.rows[whole[self.mine]], int(self.lengths[whole].max()), len(whole))


class _Clips(_Rows):
    """Padded int16 clips out of the memory map, with their rows."""

    def __init__(self, data: SpeechDataModule, rows: Tensor, lengths: Tensor, mine: slice) -> None:
        super().__init__(rows, lengths, mine)
        self.start, self.length = data._start.cpu(), data._length.cpu()
        self.files = [part.folder / "waveforms.i16" for part in data.parts]
        self.ends = np.cumsum([part.card["samples"] for part in data.parts])
        self._maps: list[np.ndarray] = []

    def __getitem__(self, positions: Iterable[int]) -> _Loaded:
        if not self._maps:  # opened in the worker that reads
            self._maps = [np.memmap(file, dtype="<i2", mode="r") for file in self.files]
        loaded = super().__getitem__(positions)
        samples = torch.zeros(len(loaded.index), loaded.longest, dtype=torch.int16)
        for row, i in zip(samples, loaded.index.tolist(), strict=True):
            length = int(self.length[i])
            row[:length] = torch.from_numpy(self._clip(int(self.start[i]), length))
        return loaded._replace(samples=samples)

    def _clip(self, start: int, length: int) -> np.ndarray:
        part = int(np.searchsorted(self.ends, start, side="right"))
        start -= int(self.ends[part - 1]) if part else 0
        return np.array(self._maps[part][start : start + length])
