"""How much of a result the words alone explain: in some corpora most sentences are said with one emotion only.

    python benchmarks/sentences.py runs/<name>            a run of fold=all whose folds split speakers

Prints, from the run's predictions alone: the UAR of the sentence id without any audio (each class's share among the clips of
that sentence in the other folds, weighted as if all classes were equally frequent; ties count as their chance; see
`ser.protocols.without_listening`), and the UAR of the run by the number of emotions that a sentence is said with.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from ser.evaluation import predictions
from ser.protocols.split import from_masks
from ser.protocols.without_listening import class_of_key
from ser.runs.folder import RunFolder


def hits_of_the_sentence(table: pd.DataFrame) -> pd.Series:
    """Return each clip's chance of being right when its class is guessed from its sentence in the other folds."""
    hits = pd.Series(0.0, index=table.index)
    for fold in table["fold"].unique():
        tested = (table["fold"] == fold).to_numpy()
        hits[tested] = class_of_key(
            table["sentence"], table["target"], from_masks(fold, ~tested, np.zeros(len(table), bool), tested)
        )
    return hits


def uar(hits: pd.Series, target: pd.Series) -> str:
    """Return the mean over the classes that occur of the mean hit, in percent."""
    return f"{100 * hits.groupby(target).mean().mean():.1f}"


def main(folder: Path) -> None:
    """Print both tables."""
    table = RunFolder(folder).predictions
    classes = predictions.classes(table)
    emotions = table.groupby("sentence")["target"].nunique()
    of_clip = table["sentence"].map(emotions)
    right = pd.Series(predictions.predicted_indices(table) == predictions.target_indices(table)).astype(float)
    alone = hits_of_the_sentence(table)
    out = Table("emotions a sentence is said with", "clips", "classes", "UAR of the run", "UAR of the sentence id")
    for count in sorted(emotions.unique()):
        own = of_clip == count
        target = table["target"][own]
        out.add_row(str(count), str(own.sum()), str(target.nunique()), uar(right[own], target), uar(alone[own], target))
    out.add_row("any", str(len(table)), str(len(classes)), uar(right, table["target"]), uar(alone, table["target"]))
    Console().print(
        f"{(emotions == 1).sum()} of {len(emotions)} sentences are said with one emotion only. Without audio, the "
        f"sentence id alone has UAR {uar(alone, table['target'])} (chance {100 / len(classes):.1f}).",
        out,
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
