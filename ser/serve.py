"""``python -m ser.serve model=runs/...``: a server of trained models."""

from typing import TYPE_CHECKING

from ser.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("serve")
def main(config: "DictConfig") -> None:
    """Serve the models of the configuration."""
    from ser.serving.server import serve

    serve(config)


if __name__ == "__main__":
    main()
