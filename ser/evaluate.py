"""``python -m ser.evaluate``: recompute a run's numbers, or score it again as a suite of ``conf/suite`` says."""

from pathlib import Path
from typing import Protocol

from omegaconf import DictConfig

from ser.command import command


class Suite(Protocol):
    """What a file of ``conf/suite`` names by ``_target_``."""

    def run(self, folder: Path, corpora: str, stores: str) -> None:
        """Score a run, and write and print what comes of it.

        Args:
            folder: Of a run, or of a ``fold=all`` run.
            corpora: Where to look for a corpus that is no longer where the run found it.
            stores: Folder of the prepared waveform stores.
        """


@command("evaluate")
def main(config: DictConfig) -> None:
    """Evaluate the run that the configuration names."""
    from omegaconf import OmegaConf

    from ser.build import build
    from ser.recompute import recompute

    folder, paths = Path(str(config.run)).expanduser(), config.paths
    if config.get("suite") is None:
        recompute(folder, paths.corpora, paths.stores, rescore=config.rescore)
        return
    suite = build(OmegaConf.to_container(config.suite, resolve=True), Suite)  # type: ignore[arg-type]
    suite.run(folder, paths.corpora, paths.stores)


if __name__ == "__main__":
    main()
