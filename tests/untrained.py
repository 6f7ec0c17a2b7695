"""A small model that is not trained, for tests of what is done with any model."""

from types import SimpleNamespace

from ser.models.classifier import SpeechClassifier
from ser.training.build import build_model
from tests.composed import composed

SMALL = ("model.channels=[4,4,4,4]", "model.width=8", "model.attention=4")


def untrained(classes: tuple[str, ...] = ("angry", "sad"), stamps: tuple[str, ...] = ()) -> SpeechClassifier:
    """A CNN of some classes, in evaluation mode."""
    data = SimpleNamespace(classes=classes, stamps=stamps, trained_on=(), scale=lambda: None)
    return build_model(composed("model=cnn", "normalise=utterance", *SMALL), data).eval()  # type: ignore[arg-type]
