"""Write a trained model as a folder to share; see `ser.models.published` for its files."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from tempfile import mkdtemp

import torch
from torch import Tensor

from ser.errors import ConfigError, RunError
from ser.inference.load import load_model
from ser.models.checkpoint import checkpoint_from
from ser.models.classifier import SpeechClassifier
from ser.models.published import write_published
from ser.models.published_files import FACTS, README
from ser.runs.publishing.card import written_card
from ser.runtime.files import write_text

VERSIONS = ("ser", "torch", "numpy", "scikit-learn", "transformers")
"""Packages whose versions a published model states."""


def publish(checkpoint: Path, out: Path, name: str, licence: str | None = None) -> Path:
    """Write a trained model and its card into a new folder, whole or not at all, and check that it answers the same.

    Args:
        checkpoint: Its file; what its run's folder holds becomes the card.
        out: Must not exist, or be empty.
        name: What the card says to load: ``hub:<owner>/<name>``, or the folder.
        licence: What the Hub shows, an identifier of its own; ``None`` is that of the corpora where all have the same.

    Raises:
        ConfigError: If ``out`` holds something, or the model has parts that cannot be published; see
            `ser.models.published.write_published`.
        RunError: If there is no checkpoint, or the folder does not give the numbers of the model.
    """
    model = load_model(checkpoint)
    with new_folder_at(out) as unfinished:
        write_published(checkpoint_from(model), unfinished, _versions())
        write_text(written_card(model, checkpoint, name, licence), unfinished / README)
        if not torch.equal(_answers(model), _answers(load_model(unfinished / FACTS))):
            raise RunError(
                f"The folder must answer as the model does, bit for bit; it does not, and {out} was not written. Please "
                "report it, with the settings of the model."
            )
    return out


@contextmanager
def new_folder_at(out: Path) -> Iterator[Path]:
    """Yield a folder that takes its place if the block succeeds, and is removed if not.

    Raises:
        ConfigError: If there is something at this place.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"out must be a new or empty folder; got {out}, which holds something. Choose another.")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield unfinished
        unfinished.chmod(0o755)  # that of the temporary folder is its owner's alone
        if out.exists():
            out.rmdir()
        unfinished.replace(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _answers(model: SpeechClassifier) -> Tensor:
    """Return what a model says of noise: of a second, and of less."""
    rate = model.audio.sample_rate
    lengths = torch.tensor([rate, rate // 3])
    noise = 0.1 * torch.randn(2, rate, generator=torch.Generator().manual_seed(0))
    return model.probabilities(noise * (torch.arange(rate) < lengths[:, None]), lengths)


def _versions() -> dict[str, str]:
    found = {}
    for package in VERSIONS:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
