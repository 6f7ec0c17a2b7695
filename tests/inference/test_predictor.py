"""`Predictor`: embeddings, several threads, other processes, and models of one's own."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import ser
from ser.errors import ConfigError
from ser.inference.predictor import Predictor
from ser.inference.scorer import Scorer
from ser.models.embedding import last_layer
from tests.inference.conftest import probabilities, speech

RATE = 16000


def vectors(table: pd.DataFrame) -> np.ndarray:
    found: np.ndarray = table.filter(like="e_").to_numpy()
    return found


def test_embedding_is_what_the_last_layer_gets(model: Predictor, clips: list[Path]) -> None:
    table = model.embed(clips, batch_size=3)
    layer = last_layer(model.model)
    assert list(table) == ["audio", *(f"e_{at}" for at in range(layer.in_features)), "flags"]
    assert table["audio"].tolist() == list(map(str, clips))
    with torch.no_grad():
        logits = layer(torch.from_numpy(vectors(table)).float())
    expected = probabilities(model.predict(clips, calibrated=False))
    np.testing.assert_allclose(logits.softmax(dim=1).numpy(), expected, atol=1e-5)
    alone = pd.concat([model.embed(clip) for clip in clips])
    np.testing.assert_allclose(vectors(alone), vectors(table), atol=1e-5)


def test_embedding_of_a_long_recording_is_the_mean_of_its_windows(model: Predictor) -> None:
    samples = speech(40.0)
    parts = vectors(model.embed(samples.reshape(10, -1).tolist(), RATE))
    table = model.embed([samples, np.zeros(9)], RATE, on_error="row")
    np.testing.assert_allclose(vectors(table)[0], parts.mean(axis=0), atol=1e-4)
    assert "windows" in table["flags"][0]
    assert "silent" in table["error"][1]
    assert np.isnan(vectors(table)[1]).all()


def test_threads_give_the_numbers_of_one(model: Predictor) -> None:
    given = [speech(0.3 + 0.1 * i, seed=i) for i in range(12)]
    expected = [(probabilities(model.predict(x, RATE)), vectors(model.embed(x, RATE))) for x in given]
    before = torch.get_num_threads()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda x: probabilities(model.predict(x, RATE)), given))
        embedded = list(pool.map(lambda x: vectors(model.embed(x, RATE)), given))
    assert torch.get_num_threads() == before
    for at, (answer, vector) in enumerate(expected):
        np.testing.assert_allclose(answers[at], answer, atol=1e-6)
        np.testing.assert_allclose(embedded[at], vector, atol=1e-5)


def test_it_says_what_it_is_and_gives_its_module(model: Predictor, run: Path) -> None:
    assert isinstance(model.scorer, Scorer)
    assert repr(model).startswith("Predictor(CNN; angry, ")
    assert "16000 Hz; synthetic speech" in repr(model)
    waveform = torch.from_numpy(speech(1.0))[None]
    with torch.no_grad():
        assert model.model(waveform, torch.tensor([RATE])).shape == (1, len(model.classes))
    pd.testing.assert_frame_equal(
        Predictor(ser.load(run).model).predict(speech(1.0), RATE), model.predict(speech(1.0), RATE)
    )


def test_a_scorer_without_a_module_says_so(model: Predictor) -> None:
    class Elsewhere:
        """The same model, as if another library ran it."""

        def __init__(self, inner: Scorer) -> None:
            self.name, self.classes, self.numeric = "elsewhere", inner.classes, inner.numeric
            self.audio, self.stamps = inner.audio, inner.stamps
            self.trained_on = inner.trained_on
            self.calibration, self.familiar = inner.calibration, inner.familiar
            self.score, self.adapts_to, self.adapted, self.adapt = inner.score, None, False, inner.adapt

    other = Predictor(Elsewhere(model.scorer))
    pd.testing.assert_frame_equal(other.predict(speech(1.0), RATE), model.predict(speech(1.0), RATE))
    with pytest.raises(ConfigError, match="model must be a checkpoint for its module; got elsewhere"):
        _ = other.model
