"""The tiny demo's clips, and what is measured of them, once for all tests of pictures."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ser.corpora.labels import Labels
from ser.features.cepstra import MFCC
from ser.pictures.collection import Collection, collected
from ser.pictures.measures import Measures, measure_clips
from ser.protocols.plan import prepared
from ser.report import drawing
from ser.runtime.instantiate import instantiate


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw pictures with few dots, and without measuring what lies beside axes: half of the time that they take."""
    monkeypatch.setattr(drawing, "DPI", 30)
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda engine, figure: None)


@pytest.fixture(scope="session")
def collection(small_settings: Callable[..., dict[str, Any]]) -> Collection:
    config = small_settings()
    return collected(prepared(config), instantiate(config["labels"], Labels))


@pytest.fixture(scope="session")
def measures(collection: Collection) -> Measures:
    return measure_clips(collection, MFCC(n_mfcc=13, deltas=0), torch.device("cpu"))
