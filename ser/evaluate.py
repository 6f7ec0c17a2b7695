"""``python -m ser.evaluate``: recompute a run's numbers from its predictions, or from its checkpoint."""

from omegaconf import DictConfig

from ser.command import command


@command("evaluate")
def main(config: DictConfig) -> None:
    """Evaluate the run that the configuration names."""
    from pathlib import Path

    from ser.recompute import recompute

    recompute(Path(str(config.run)).expanduser(), config.paths.corpora, config.paths.stores, rescore=config.rescore)


if __name__ == "__main__":
    main()
