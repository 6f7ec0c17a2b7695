"""``python -m ser.evaluate``: recompute a run's numbers, or score it on degraded speech."""

from omegaconf import DictConfig

from ser.command import command


@command("evaluate")
def main(config: DictConfig) -> None:
    """Evaluate the run that the configuration names."""
    from pathlib import Path

    from omegaconf import OmegaConf

    from ser.recompute import recompute

    folder, paths = Path(str(config.run)).expanduser(), config.paths
    suite = config.get("suite")
    if suite is None:
        recompute(folder, paths.corpora, paths.stores, rescore=config.rescore)
        return

    from ser.robustness.run import score_suite

    score_suite(folder, paths.corpora, paths.stores, OmegaConf.to_container(suite, resolve=True))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
