"""``python -m ser.adapt model=runs/... voice=me/``: a model that knows one voice, as a checkpoint of its own."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ser.command import command

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("adapt")
def main(config: "DictConfig") -> None:
    """Adapt the model of the configuration, and say what that gains, as far as it can be said."""
    from rich import get_console

    from ser.errors import ConfigError
    from ser.inference.load import device_named, load_model
    from ser.inference.voice import adapt_to_voice
    from ser.models.checkpoint import write_adapted
    from ser.report.adapted import adaptation_in_words
    from ser.runs.folder import BEST, checkpoint_of
    from ser.runtime.files import sha256_of, write_json

    checkpoint, out = checkpoint_of(config.model.path), Path(config.out).expanduser()
    if (out / BEST).exists():
        raise ConfigError(f"out must not hold a model; got {out}. Choose another folder, or delete it.")
    model = load_model(checkpoint, device_named(config.device))
    found = adapt_to_voice(model, Path(config.voice).expanduser())
    about = {"model": {"sha256": sha256_of(checkpoint)}, **asdict(found)}
    write_json(about, out / "adaptation.json")
    write_adapted(checkpoint, out / BEST, model)
    for line in adaptation_in_words(found):
        get_console().print(line, soft_wrap=True, highlight=False, markup=False)
    get_console().print(str(out), soft_wrap=True, highlight=False, markup=False)


if __name__ == "__main__":
    main()
