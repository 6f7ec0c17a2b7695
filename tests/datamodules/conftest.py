"""Small corpora of noise under real file names, in clips of many lengths."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser.audio.decode import AudioSettings
from ser.audio.store import prepare
from ser.corpora.corpus import Corpus
from ser.corpora.labels import LabelScheme
from ser.corpora.ravdess import Ravdess
from ser.corpora.savee import Savee
from ser.datamodules.data import Loading, SpeechData
from ser.protocols.plan import plan_folds
from ser.protocols.speaker_cv import SpeakerCV
from ser.protocols.split import Protocol

Make = Callable[..., SpeechData]


def write(root: Path, names: Iterable[str], seed: int = 0) -> Path:
    """Clips of noise of 0.1 to 0.8 s."""
    random = np.random.default_rng(seed)
    for name in names:
        path = root / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = random.integers(-9000, 9000, random.integers(1700, 12800)).astype(np.int16)
        soundfile.write(path, noise, 16000)
    return root


def ravdess_names(actors: Iterable[int] = range(1, 7)) -> Iterator[str]:
    """Per actor one clip of each emotion, and a second one of sadness (actors 1 and 2) or anger (the others)."""
    for actor in actors:
        for emotion, repetition in [*((e, 1) for e in range(1, 9)), (4 if actor < 3 else 5, 2)]:
            yield f"Actor_{actor:02d}/03-01-{emotion:02d}-01-01-{repetition:02d}-{actor:02d}"


@pytest.fixture(scope="session")
def ravdess(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """6 actors, 54 clips."""
    return Ravdess(write(tmp_path_factory.mktemp("noise") / "ravdess", ravdess_names(), seed=1))


@pytest.fixture(scope="session")
def savee(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """4 speakers, 28 clips."""
    names = (f"{s}/{e}01" for s in ("DC", "JE", "JK", "KL") for e in ("a", "d", "f", "h", "n", "sa", "su"))
    return Savee(write(tmp_path_factory.mktemp("noise") / "savee", names, seed=2))


@pytest.fixture(scope="session")
def make(ravdess: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The data module of a fold of the small RAVDESS, or of other corpora."""
    home = tmp_path_factory.mktemp("stores")

    def made(
        *corpora: Corpus,
        labels: LabelScheme | None = None,
        protocol: Protocol | None = None,
        fold: int = 0,
        **loading: Any,
    ) -> SpeechData:
        stores = {corpus.name: prepare(corpus, home, AudioSettings()) for corpus in corpora or (ravdess,)}
        plan = plan_folds(stores, labels or LabelScheme("native"), protocol or SpeakerCV(3))
        return SpeechData(plan, fold, Loading(**{"batch_size": 4, "workers": 0, **loading}))

    return made
