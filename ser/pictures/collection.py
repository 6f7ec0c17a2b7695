"""The clips of one or several prepared corpora, with their groups, and batches of them on a device."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ser.audio.store import Store
from ser.corpora.labels import Labels
from ser.datamodules.buckets import LengthBuckets
from ser.datamodules.data import FULL_SCALE

BATCH_S = 240
"""Seconds of speech in a batch, padding included."""
GROUP = "group"
"""Column of the clips: their class, as the pictures group them."""
THIRDS = ("low", "middle", "high")


@dataclass(frozen=True)
class Collection:
    """Clips and their samples.

    Attributes:
        stores: The prepared corpora.
        clips: A row a clip, as in the stores' manifests, with ``store`` (its position) and `GROUP`; indexed 0..n-1.
        groups: The groups in their order.
        remarks: Sentences on what was left out or grouped.
    """

    stores: Sequence[Store]
    clips: pd.DataFrame
    groups: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def rate(self) -> int:
        """Sampling rate in Hz."""
        return int(self.stores[0].card["settings"]["sample_rate"])

    def waveform(self, row: int) -> np.ndarray:
        """Return the samples of a clip, ``(sample,)`` float32, full scale = 1."""
        clip = self.clips.iloc[row]
        samples = self.stores[clip["store"]].samples[clip["start"] : clip["start"] + clip["length"]]
        return np.asarray(samples, dtype=np.float32) / np.float32(FULL_SCALE)

    def batches(self, device: torch.device) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
        """Yield each clip once: the rows of a batch, its waveforms ``(batch, sample)`` and lengths, on a device."""
        lengths = torch.from_numpy(self.clips["length"].to_numpy(copy=True))
        size = max(2, BATCH_S * self.rate // max(1, int(lengths.max())))
        for rows in LengthBuckets(lengths, size, shuffle=False):
            clips = [torch.from_numpy(self.waveform(row)) for row in rows]
            waveform = nn.utils.rnn.pad_sequence(clips, batch_first=True)
            yield np.array(rows), waveform.to(device), lengths[rows].to(device)


def collected(stores: Mapping[str, Store], labels: Labels) -> Collection:
    """Return the clips of some stores, grouped by their classes; by thirds of the first number where targets are numbers.

    Raises:
        LabelError: If the labels do not fit the clips.
    """
    parts = [store.manifest.assign(store=i) for i, store in enumerate(stores.values())]
    manifest = pd.concat(parts, ignore_index=True)
    if len(manifest["emotion"].unique()) == 1 and manifest["emotion"].notna().all():  # no scheme learns from one class
        (only,) = manifest["emotion"].unique()
        remark = f"All clips are {only}: pictures by class show one."
        return Collection(tuple(stores.values()), manifest.assign(**{GROUP: only}), (str(only),), (remark,))
    labelled = labels.apply(manifest)
    remarks = tuple(
        f"{count} clips of {what} have no class and are left out." for what, count in labelled.dropped.items()
    )
    if (names := labelled.class_names) is not None:
        groups: tuple[str, ...] = labelled.classes
    else:
        number = labelled.classes[0]
        names, groups = thirds(labelled.target[:, 0], number)
        remarks += (f"Clips have numbers instead of classes: they are grouped by thirds of {number}.",)
    clips = labelled.manifest.assign(**{GROUP: names})
    return Collection(tuple(stores.values()), clips, tuple(g for g in groups if (names == g).any()), remarks)


def thirds(values: np.ndarray, name: str) -> tuple["pd.Series[str]", tuple[str, ...]]:
    """Return the third that each number is in, and the names of the three."""
    bounds = np.quantile(values, [1 / 3, 2 / 3])
    groups = tuple(f"{third} {name}" for third in THIRDS)
    return pd.Series(np.array(groups)[np.searchsorted(bounds, values, side="left")]), groups


def side_by_side(collection: Collection, most: int) -> tuple[list[int], str]:
    """Return the rows of one clip a class, alike in what else varies, and in words what they share.

    They are of the speaker and the sentence that are there in most classes; a class without them has a clip of the speaker,
    or of anybody, of about the median length. At most ``most`` classes, those with the most clips.
    """
    clips = collection.clips
    wanted = clips[clips[GROUP].isin(clips[GROUP].value_counts().index[:most])]
    said = _in_most_classes(wanted, ["speaker", "sentence"]) or _in_most_classes(wanted, ["speaker"])
    others = {f"other_{column}": wanted[column] != value for column, value in said.items()}
    distance = (wanted["length"] - wanted["length"].median()).abs()
    ranked = wanted.assign(**others, distance=distance).sort_values([*others, "distance", "id"])
    first = ranked.drop_duplicates(GROUP)
    rows = [int(row) for group in collection.groups for row in first.index[first[GROUP] == group]]
    chosen = clips.loc[rows]
    shared = [f"{column} {chosen[column].iloc[0]}" for column in ("speaker", "sentence") if _is_one(chosen[column])]
    differ = [f"{column}s differ or are unknown" for column in ("speaker", "sentence") if not _is_one(chosen[column])]
    return rows, ", ".join([*shared, *differ])


def _in_most_classes(clips: pd.DataFrame, columns: list[str]) -> dict[str, str]:
    """Return the values of some columns that occur in the most classes, if they do in several; else nothing."""
    counts = clips.dropna(subset=columns).groupby(columns)[GROUP].nunique()
    if counts.empty or counts.max() < 2:
        return {}
    values = counts.idxmax()
    return dict(zip(columns, values if isinstance(values, tuple) else (values,), strict=True))


def _is_one(values: pd.Series) -> bool:
    return bool(values.notna().all()) and len(values.unique()) == 1
