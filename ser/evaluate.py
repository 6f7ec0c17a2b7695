"""``python -m ser.evaluate``: recompute a run's numbers, score it again as a suite says, or score a model of others."""

from typing import TYPE_CHECKING, Any

from ser.command import command

if TYPE_CHECKING:
    from pathlib import Path

    from omegaconf import DictConfig


@command("evaluate")
def main(config: "DictConfig") -> None:
    """Evaluate the run, or the model of others, that the configuration names."""
    evaluated(config)


def evaluated(config: "DictConfig") -> "Path":
    """Print the numbers of a run, recomputed or of a suite, or those of a model of others; return the run's folder."""
    from pathlib import Path

    from omegaconf import OmegaConf

    from ser.errors import ConfigError

    if config.model.path is not None:
        if config.run is not None or config.get("suite") is not None or config.rescore:
            raise ConfigError("model must not be set together with run, rescore or suite. Leave out one of them.")
        from ser.rescoring.foreign.run import evaluate_foreign

        settings: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
        return evaluate_foreign(settings)
    if config.run is None:
        raise ConfigError("Missing required setting: run. Set it with run=<value>.")

    from ser.rescoring.recompute import recompute

    folder, paths = Path(str(config.run)).expanduser(), config.paths
    if config.get("exported") is not None:
        if config.get("suite") is not None or config.rescore:
            raise ConfigError("exported must not be set together with rescore or suite. Leave out one of them.")
        from ser.rescoring.exported import compare_exported

        compare_exported(folder, Path(str(config.exported)).expanduser(), paths.corpora, paths.stores)
        return folder
    if config.get("suite") is None:
        recompute(folder, paths.corpora, paths.stores, rescore=config.rescore)
        return folder

    from ser.rescoring.suite import Suite
    from ser.runtime.instantiate import instantiate

    suite = instantiate(OmegaConf.to_container(config.suite, resolve=True), Suite)  # type: ignore[arg-type]
    suite.run(folder, paths.corpora, paths.stores)
    return folder


if __name__ == "__main__":
    main()
