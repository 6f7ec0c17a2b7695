"""``python -m ser.plot clip.wav``: pictures of recordings, and what a model says of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ser.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


def files_setting(paths: Sequence[str]) -> list[str]:
    """Return the setting that paths alone stand for."""
    from ser.runtime.composition import literal

    return [f"files={literal(list(paths))}"]


@command("plot", alone=files_setting)
def main(config: "DictConfig") -> None:
    """Draw the recordings of the configuration."""
    from ser.pictures.recordings import draw_recordings

    draw_recordings(config)


if __name__ == "__main__":
    main()
