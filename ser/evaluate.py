"""``python -m ser.evaluate``: recompute a run's numbers, or score it again as a suite of ``conf/suite`` says."""

from typing import TYPE_CHECKING

from ser.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("evaluate")
def main(config: "DictConfig") -> None:
    """Evaluate the run that the configuration names."""
    evaluated(config)


def evaluated(config: "DictConfig") -> None:
    """Print the numbers of a run, recomputed or of a suite."""
    from pathlib import Path

    from omegaconf import OmegaConf

    from ser.rescoring.recompute import recompute

    folder, paths = Path(str(config.run)).expanduser(), config.paths
    if config.get("suite") is None:
        recompute(folder, paths.corpora, paths.stores, rescore=config.rescore)
        return

    from ser.rescoring.suite import Suite
    from ser.runtime.instantiate import instantiate

    suite = instantiate(OmegaConf.to_container(config.suite, resolve=True), Suite)  # type: ignore[arg-type]
    suite.run(folder, paths.corpora, paths.stores)


if __name__ == "__main__":
    main()
