"""``python -m ser.describe my.csv``: how recordings would be understood, before anything is decoded."""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ser.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


def data_settings(paths: Sequence[str]) -> list[str]:
    """Return the settings that paths alone stand for: tables, or folders whose names are labels.

    Raises:
        ConfigError: If there are both.
    """
    from ser.corpora.formats.recognise import read_rows
    from ser.errors import ConfigError
    from ser.runtime.composition import literal

    places = [Path(path).expanduser() for path in paths]
    named = {path: place.is_dir() and read_rows(place) is None for path, place in zip(paths, places, strict=True)}
    if len(set(named.values())) > 1:
        raise ConfigError(
            f"Paths must all be tables, or all be folders named by class; got both: {', '.join(paths)}. Give them in turn."
        )
    value = paths[0] if len(paths) == 1 else literal(list(paths))
    return ["data=folders", f"data.root={value}"] if all(named.values()) else ["data=table", f"data.file={value}"]


@command("describe", alone=data_settings)
def main(config: "DictConfig") -> None:
    """Print what the configuration's corpora hold, and what can be done with them."""
    import pandas as pd
    from hydra.core.hydra_config import HydraConfig
    from rich.console import Console

    from ser.corpora.manifest import to_table
    from ser.corpora.own import OwnRecordings
    from ser.protocols.plan import corpora_of
    from ser.report.description import corpus_facts, next_steps

    gc.disable()  # each collection would walk through all rows, and the process ends soon
    console, manifests, corpora = Console(), [], corpora_of(config).values()
    own = len(corpora) > 1 or any(isinstance(corpus, OwnRecordings) for corpus in corpora)
    for corpus in corpora:
        clips = list(corpus.utterances())
        manifests.append(to_table(clips))
        console.print(corpus_facts(corpus, clips, manifests[-1], config.headers))
    every = pd.concat(manifests, ignore_index=True)
    for part in next_steps(every, config.labels, HydraConfig.get().overrides.task, own):
        console.print(part, soft_wrap=True, highlight=False)


if __name__ == "__main__":
    main()
