"""`Served`: a model that a server has loaded, with its batches and what is known of it."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ser.inference.decoded import Decoded
from ser.inference.load import load as load_predictor
from ser.inference.plain import answers_of
from ser.inference.predict import check_adapted
from ser.inference.predictor import Predictor
from ser.protocols.limits import NOT_FOR
from ser.runs.folder import checkpoint_of
from ser.serving.about import Facts, about_of, training_facts
from ser.serving.batcher import Batcher
from ser.serving.limits import Batching
from ser.serving.meters import Meters


class Served:
    """A model of a server.

    Args:
        name: What requests call it.
        predictor: The model.
        facts: What `training_facts` returns.
        batching: How requests are scored together.
        meters: The server's.
    """

    def __init__(self, name: str, predictor: Predictor, facts: Facts, batching: Batching, meters: Meters) -> None:
        self.name, self.predictor, self.facts = name, predictor, facts
        self._calibrated = predictor.scorer.calibration is not None
        score = partial(score_decoded, predictor)
        self._batcher: Batcher[Decoded, dict[str, Any]]
        self._batcher = Batcher(score, batching, meters.batches.labels(name).observe)
        meters.queue.labels(name).set_function(self._batcher.waiting)

    async def predict(self, recording: Decoded) -> dict[str, Any]:
        """Return the answer of a recording, which is scored together with others; see `ser.serving.answers.Prediction`."""
        answer = await self._batcher.answer(recording)
        return {**self.named(), **answer, "seconds": recording.seconds, "calibrated": self._calibrated}

    def segments(self, path: Path, window: float, hop: float, speech: bool = False) -> dict[str, Any]:
        """Return the answers of the windows of a recording; see `ser.serving.answers.Segments`.

        Raises:
            AudioError: If it cannot be used.
            ConfigError: If a number is out of its range, or what finds speech is not installed.
        """
        found = self.predictor.segments(path, window=window, hop=hop, speech=speech)
        rows = answers_of(found.table, self.predictor.scorer)
        return {**self.named(), "seconds": found.seconds, "window": window, "hop": hop, "segments": rows}

    def named(self) -> dict[str, Any]:
        """Return what stands beside every result."""
        return {"model": self.name, "stamps": list(self.predictor.stamps), "not_for": NOT_FOR}

    def about(self) -> dict[str, Any]:
        """Return what is known of the model; see `ser.serving.answers.Model`."""
        return about_of(self.name, self.predictor.scorer, self.facts)

    async def close(self) -> None:
        """Answer what was accepted."""
        await self._batcher.close()


def score_decoded(predictor: Predictor, recordings: Sequence[Decoded]) -> list[dict[str, Any]]:
    """Return the answers of several recordings, which are those that `Predictor.predict` gives each alone."""
    table = predictor.predict(list(recordings), batch_size=len(recordings), on_error="row")
    return answers_of(table, predictor.scorer)


def loader_of(path: str | Path, device: str) -> Callable[[], tuple[Predictor, Facts]]:
    """Return what loads the model of a run, tries it once, and reads what is known of its training.

    Raises:
        ConfigError: By the returned function, if the model must be adapted first, or there is no such device.
        RunError: By the returned function, if there is no model.
    """

    def load() -> tuple[Predictor, Facts]:
        predictor = load_predictor(checkpoint_of(path), device)
        check_adapted(predictor.scorer)
        rate = predictor.scorer.audio.sample_rate
        noise = np.random.default_rng(0).normal(0, 0.1, rate).astype(np.float32)
        predictor.predict(noise, rate)  # the first takes longer than others
        return predictor, training_facts(Path(path).expanduser())

    return load
