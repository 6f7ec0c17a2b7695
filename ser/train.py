"""``python -m ser.train``: train a model, score it on its test speakers, and leave a run folder."""

from omegaconf import DictConfig

from ser.command import command


@command("train")
def main(config: DictConfig) -> None:
    """Train what the configuration says."""
    from ser.experiment import run

    run(config)


if __name__ == "__main__":
    main()
