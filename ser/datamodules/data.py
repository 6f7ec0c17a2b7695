"""`SpeechData`: one or several corpora, one fold of one protocol, one label scheme.

If the samples fit on the device, they are kept there as int16: a batch is a list of row numbers until it arrives, and is
gathered and converted on the device. Otherwise, workers read them from the memory map.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ser.audio.store import open_samples
from ser.datamodules.batch import Batch, Grouping
from ser.datamodules.buckets import LengthBuckets
from ser.datamodules.cache import FeatureCache, Features, open_cache
from ser.errors import ConfigError, LabelError
from ser.protocols.audit import check_fitted
from ser.protocols.plan import Plan
from ser.runtime import distributed

log = logging.getLogger(__name__)

FULL_SCALE = 32768.0
SECONDS_A_BATCH = 60
"""Seconds of speech in a batch whose features are computed for the cache."""
RESIDENT_SHARE = 0.5
"""Share of the device's free memory that samples may take; the rest is for the model and its activations."""


@dataclass(frozen=True)
class Loading:
    """How batches are read.

    Args:
        batch_size: Clips in a training batch; evaluation takes twice as many.
        resident: Keep all samples on the device: ``True``, ``False``, or ``auto`` (if they take at most half of its free
            memory; on a CPU always, since batches are gathered from the memory map itself).
        workers: Processes that read the memory map if the samples are not resident.
        seed: Seed of the order of batches.

    Raises:
        ConfigError: If a value is out of its range.
    """

    batch_size: int = 32
    resident: bool | Literal["auto"] = "auto"
    workers: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("workers", 0)):
            if not isinstance(value := getattr(self, name), int) or value < least:
                raise ConfigError(f"{name} must be an integer of {least} or more; got {value!r}.")
        if self.resident not in (True, False, "auto"):
            raise ConfigError(f'resident must be true, false or "auto"; got {self.resident!r}.')


class SpeechData:
    """Utterances with targets, ready to train on: one fold of a plan.

    Args:
        plan: The folds; several corpora are trained and tested on together.
        fold: The fold of the plan.
        loading: How batches are read.

    Attributes:
        labelled, split, findings: The plan's manifest, targets and classes; the fold's rows; its audit's findings.
        groups: The names of all speakers, and of all corpora, in alphabetical order.

    Raises:
        SplitError: If the fold does not exist, or its audit finds an error.
    """

    def __init__(self, plan: Plan, fold: int = 0, loading: Loading | None = None) -> None:
        self.plan, self.fold, self.loading = plan, fold, loading or Loading()
        self.labelled, self.split, self.findings = plan.labelled, plan.split(fold), plan.check(fold)
        self._start = torch.from_numpy(self.labelled.manifest["start"].to_numpy(copy=True))
        self._length = torch.from_numpy(self.labelled.manifest["length"].to_numpy(copy=True))
        self._target = self._targets()
        self._speaker, speakers = self._codes("speaker")
        self._corpus, corpora = self._codes("corpus")
        self.groups: dict[Grouping, pd.Index] = {"speaker": speakers, "corpus": corpora}
        self._samples: Tensor | None = None
        self._cache: FeatureCache | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, or of the numbers, in the order of the model's outputs."""
        return self.labelled.classes

    @property
    def stamps(self) -> tuple[str, ...]:
        """The stamps of every result on this fold."""
        return self.plan.stamps(self.fold, self.findings)

    @property
    def trained_on(self) -> list[dict[str, str]]:
        """``name``, ``title`` and ``licence`` of the corpora that train."""
        names = set(self.labelled.manifest["corpus"].iloc[self.split.train])
        stores = zip(self.plan.corpora, self.plan.stores, strict=True)
        return [
            {"name": name, **{fact: store.card[fact] for fact in ("title", "licence")}}
            for name, store in stores
            if name in names
        ]

    def check_fitted(self, rows: np.ndarray) -> None:
        """Check that statistics were computed on the training side only; see `ser.protocols.audit.check_fitted`."""
        check_fitted(self.split, rows)

    def class_counts(self) -> dict[str, int]:
        """Return the number of training utterances of each class, or with each number."""
        if self.labelled.numeric:
            return dict.fromkeys(self.classes, len(self.split.train))
        counts = np.bincount(self.labelled.target[self.split.train], minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}

    def scale(self) -> dict[str, list[float]] | None:
        """Return ``mean`` and ``deviation`` of each number over the training clips alone; ``None`` for classes.

        Raises:
            LabelError: If one is the same in all training clips.
        """
        if not self.labelled.numeric:
            return None
        target = self.labelled.target[self.split.train]
        for name, values in zip(self.classes, target.T, strict=True):
            if values.min() == values.max():
                raise LabelError(
                    f"labels.targets must differ between training clips; got {name} = {values[0]:g} in all of fold "
                    f"{self.fold}. Leave it out."
                )
        self.check_fitted(self.split.train)
        return {"mean": target.mean(axis=0).tolist(), "deviation": target.std(axis=0).tolist()}

    def _codes(self, column: Grouping) -> tuple[Tensor, pd.Index]:
        """Return the position of each utterance's name in a column of the manifest, and the names."""
        codes, names = pd.factorize(self.labelled.manifest[column], sort=True)
        return torch.from_numpy(codes.astype(np.int64)), names

    def _targets(self) -> Tensor:
        """Return what a model is trained on: ``(utterance,)`` classes, their shares, or standardised numbers."""
        target = self.labelled.target if self.labelled.soft is None else self.labelled.soft
        if (scale := self.scale()) is not None:
            target = (target - scale["mean"]) / scale["deviation"]
        return torch.tensor(target if target.ndim == 1 else target.astype(np.float32))

    def batches(self, rows: np.ndarray, device: torch.device, batch_size: int | None = None) -> Iterator[Batch]:
        """Yield each utterance of some rows once, longest first, on a device."""
        for loaded in self.loader(rows, batch_size or 2 * self.loading.batch_size, device, shuffle=False):
            yield self.to_device(loaded, device)

    def use_cached_features(
        self, key: Mapping[str, Any], features: Features, n_features: int, device: torch.device
    ) -> None:
        """Give batches features instead of waveforms. Missing features are computed and stored first."""
        self.use_waveforms()
        manifest = self.labelled.manifest
        longest = manifest["length"].max() / self.plan.settings.sample_rate
        size = max(1, int(SECONDS_A_BATCH / longest))

        def compute(rows: np.ndarray) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
            for batch in self.batches(rows, device, size):
                with torch.no_grad():
                    yield batch.index, *features(batch.waveform, batch.lengths)

        ids = hashlib.sha256("\n".join(manifest["id"]).encode()).hexdigest()
        whole = {**key, "data": self.plan.fingerprint, "utterances_hash": ids}
        stores = self.plan.stores[0].folder.parent
        self._cache = open_cache(stores, whole, len(manifest), n_features, compute)

    def use_waveforms(self) -> None:
        """Give batches waveforms again."""
        self._cache = None

    @property
    def uses_cached_features(self) -> bool:
        """Whether batches carry features instead of waveforms."""
        return self._cache is not None

    def loader(
        self, rows: np.ndarray, batch_size: int, device: torch.device, *, shuffle: bool, share: bool = False
    ) -> DataLoader[Any]:
        """Return a loader of some rows, whose batches `to_device` makes whole.

        Args:
            rows: Rows of the manifest.
            batch_size: Clips in a batch.
            device: Where the batches will be.
            shuffle: Draw another order in each epoch; otherwise the longest clips come first.
            share: Load this process's share of each batch alone.
        """
        resident = self._is_resident(device)
        part, shares = (distributed.process_rank(), distributed.world_size()) if share else (0, 1)
        mine = slice(part, None, shares)  # a batch is sorted by length, so every process gets similar lengths
        where = torch.from_numpy(rows)
        # On the CPU, where order is drawn.
        lengths = torch.from_numpy(self.labelled.manifest["length"].to_numpy()[rows])
        return DataLoader(
            _Rows(where, lengths, mine) if resident else _Clips(self, where, lengths, mine),
            batch_size=None,  # the sampler yields whole batches
            sampler=LengthBuckets(lengths, batch_size, shuffle=shuffle, seed=self.loading.seed, shares=shares),
            num_workers=0 if resident else self.loading.workers,
            persistent_workers=not resident and self.loading.workers > 0,
            pin_memory=not resident and device.type == "cuda",
        )

    def to_device(self, loaded: "_Loaded", device: torch.device) -> Batch:
        """Return the batch of what a loader gave: row numbers, with int16 clips where samples are not resident."""
        if loaded.samples is not None:
            made = self._batch(*(part.to(device, non_blocking=True) for part in (loaded.samples, loaded.index)))
        elif self._cache is not None:
            made = self._with_features(loaded.index, device, self._cache)
        else:
            made = self.gather(loaded.index, device, loaded.longest)
        return made._replace(whole=loaded.whole)

    def gather(self, index: Tensor, device: torch.device, longest: int | None = None) -> Batch:
        """Return the batch of some rows of the manifest, gathered on the device from its resident samples.

        It is padded to ``longest`` samples, or to its longest clip.

        Shapes:
            - index: ``(batch,)``
        """
        samples = self._resident_samples(device)
        index = index.to(samples.device)
        # A view of overlapping windows of the longest clip's length; the rows that start a clip are copied.
        windows = samples.unfold(0, longest or int(self._length[index].max()), 1)
        return self._batch(windows[self._start[index]], index)

    def _with_features(self, index: Tensor, device: torch.device, cache: FeatureCache) -> Batch:
        """Return the batch of some rows with their features, and a waveform without samples."""
        self._move(device)
        features = cache.gather(index, device)
        index = index.to(device)
        none = torch.empty(len(index), 0, device=device)
        return Batch(none, self._length[index], *self._about(index), features)

    def _batch(self, samples: Tensor, index: Tensor) -> Batch:
        """Return the batch of int16 samples ``(batch, sample)``, zero beyond each clip's length."""
        self._move(samples.device)
        lengths = self._length[index]
        beyond = torch.arange(samples.shape[1], device=samples.device) >= lengths[:, None]
        waveform = samples.to(torch.float32).div_(FULL_SCALE).masked_fill_(beyond, 0.0)
        return Batch(waveform, lengths, *self._about(index))

    def _about(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the targets, rows, speakers and corpora of a batch."""
        return self._target[index], index, self._speaker[index], self._corpus[index]

    def _move(self, device: torch.device) -> None:
        if self._length.device != device:
            per_row = (self._start, self._length, self._target, self._speaker, self._corpus)
            self._start, self._length, self._target, self._speaker, self._corpus = (t.to(device) for t in per_row)

    def _resident_samples(self, device: torch.device) -> Tensor:
        if self._samples is None or self._samples.device != device:
            stores = self.plan.stores
            if len(stores) == 1:
                joined = stores[0].samples
            else:
                clips = [store.samples[: store.card["samples"]] for store in stores]
                joined = np.concatenate([*clips, np.zeros(max(store.card["longest"] for store in stores), "<i2")])
            self._samples = torch.from_numpy(joined).to(device)
            self._move(device)
        return self._samples

    def _is_resident(self, device: torch.device) -> bool:
        if self._cache is not None:
            return True
        if self.loading.resident != "auto":
            return self.loading.resident
        if device.type != "cuda":
            return device.type == "cpu"
        needed = sum(2 * store.card["samples"] for store in self.plan.stores)
        already = self._samples is not None and self._samples.device == device
        return already or needed < RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]


class _Loaded(NamedTuple):
    """A process's share of a batch: its rows of the manifest, and the longest length and size of the whole batch."""

    index: Tensor  # type: ignore[assignment]  # as in Batch
    longest: int
    whole: int
    samples: Tensor | None = None


class _Rows(Dataset[_Loaded]):
    """Rows of the manifest by lists of positions, for samples that are on the device."""

    def __init__(self, rows: Tensor, lengths: Tensor, mine: slice) -> None:
        self.rows, self.lengths, self.mine = rows, lengths, mine

    def __getitem__(self, positions: Iterable[int]) -> _Loaded:
        whole = list(positions)
        return _Loaded(self.rows[whole[self.mine]], int(self.lengths[whole].max()), len(whole))


class _Clips(_Rows):
    """Rows of the manifest with their padded int16 clips, read from the memory map."""

    def __init__(self, data: SpeechData, rows: Tensor, lengths: Tensor, mine: slice) -> None:
        super().__init__(rows, lengths, mine)
        self.start, self.length = data._start.cpu(), data._length.cpu()
        stores = data.plan.stores
        self.files = [(store.folder, store.fingerprint) for store in stores]
        self.ends = np.cumsum([store.card["samples"] for store in stores])
        self._open()  # raises here, and not first in a worker, if a store has been replaced
        self._maps: list[np.ndarray] = []

    def _open(self) -> list[np.ndarray]:
        return [open_samples(*file) for file in self.files]

    def __getitem__(self, positions: Iterable[int]) -> _Loaded:
        if not self._maps:  # opened in the worker that reads
            self._maps = self._open()
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
