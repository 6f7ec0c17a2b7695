"""``python -m ser.explain run=runs/...``: what a run's answers rest on, as one page."""

from typing import TYPE_CHECKING

from ser.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("explain")
def main(config: "DictConfig") -> None:
    """Explain the run that the configuration names."""
    from ser.pictures.explain import explain

    explain(config)


if __name__ == "__main__":
    main()
