"""Numbers as targets: arousal, valence, dominance, or any other that a corpus states of its utterances."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from typing_extensions import override

from ser.corpora.labels import EMOTIONS, Labelled, Labels
from ser.corpora.manifest import FURTHER
from ser.errors import LabelError
from ser.runtime.words import counted

UNLABELLED = "unlabelled"
"""The emotion of clips that have none, so that splits by emotion keep them."""


@dataclass(frozen=True)
class Dimensions(Labels):
    """Targets that are numbers, from what corpora state of a clip beside its emotion (`ser.corpora.manifest`).

    Args:
        targets: Names of the numbers, in any case, in the order of the model's outputs.
        name: The scheme's name in reports.

    Raises:
        LabelError: If there is no name, or one is given twice.

    Example:
        >>> manifest = pd.DataFrame({"emotion": [None], "further_arousal": ["0.5"], "further_valence": ["-2"]})
        >>> Dimensions(["valence"]).apply(manifest).target
        array([[-2.]])
    """

    targets: Sequence[str] | None
    name: str = "dimensions"

    def __post_init__(self) -> None:
        names = () if self.targets is None or isinstance(self.targets, str) else tuple(map(str, self.targets))
        if not names or len({name.lower() for name in names}) < len(names):
            raise LabelError(
                f"labels.targets must name numbers, each once; got {self.targets}. Set labels.targets=[arousal,valence], for "
                "example: names of columns of a table."
            )
        object.__setattr__(self, "targets", names)

    @override
    def describe(self, emotions: Iterable[str] = EMOTIONS) -> str:
        return f"{self.name}: {', '.join(self.names)}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the numbers."""
        return tuple(self.targets or ())

    @override
    def apply(self, manifest: pd.DataFrame) -> Labelled:
        known = {c.removeprefix(FURTHER).lower(): c for c in map(str, manifest.columns) if c.startswith(FURTHER)}
        if unknown := [name for name in self.names if name.lower() not in known]:
            raise LabelError(
                f"labels.targets must be among what the corpora state of a clip: {', '.join(known) or 'nothing'}; got "
                f"{', '.join(unknown)}. Give a table with these columns: data=table data.file=my.csv."
            )
        target = np.column_stack([_numbers(manifest[known[name.lower()]]) for name in self.names])
        if (without := ~np.isfinite(target).all(axis=1)).any():
            first = manifest[without].iloc[0]
            raise LabelError(
                f"labels.targets must be numbers of every clip; got {counted(int(without.sum()), 'clip')} without, such as "
                f"{first['id']}. Leave out such clips, or corpora."
            )
        labelled = manifest.assign(emotion=manifest["emotion"].astype(object).fillna(UNLABELLED))
        return Labelled(labelled, self.names, target, soft=None, votes=None, dropped={})


def _numbers(texts: pd.Series) -> np.ndarray:
    """Return texts as float64, with a decimal point or comma; NaN for others."""
    return pd.to_numeric(texts.astype(str).str.replace(",", "."), errors="coerce").to_numpy(dtype=np.float64)
