"""``python -m ser.explore``: pictures of what corpora hold, as one page."""

from typing import TYPE_CHECKING

from ser.command import command
from ser.describe import data_settings

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("explore", alone=data_settings)
def main(config: "DictConfig") -> None:
    """Draw the corpora of the configuration."""
    from ser.pictures.explore import explore

    explore(config)


if __name__ == "__main__":
    main()
