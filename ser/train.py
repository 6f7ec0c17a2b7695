"""``python -m ser.train``: train a model, score it on its test speakers, and leave a run folder."""

from typing import TYPE_CHECKING

from ser.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("train")
def main(config: "DictConfig") -> float | None:
    """Train what the configuration says; a job of a sweep gives the UAR of its dev speakers."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.get().mode == RunMode.MULTIRUN:
        from ser.sweeps import job

        return job.run_job(config)

    from ser.training.experiment import run

    run(config)
    return None


if __name__ == "__main__":
    main()
