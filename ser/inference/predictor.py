"""`Predictor`: a trained model as a person uses it, from a file to a table of emotions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import ConfigError
from ser.inference import predict, segments
from ser.inference.columns import class_columns
from ser.inference.scorer import Scorer

if TYPE_CHECKING:
    import pandas as pd

    from ser.inference.shown import Shown
    from ser.inference.stream import Stream
    from ser.models.classifier import SpeechClassifier


class Predictor:
    """What a trained model says of recordings.

    Several threads may use one at a time, and it can be sent to another process.

    Args:
        model: A `ser.models.classifier.SpeechClassifier`, or another `ser.inference.scorer.Scorer`.

    Example:
        >>> import ser
        >>> model = ser.load("runs/ravdess-cnn-luna5")  # doctest: +SKIP
        >>> model.predict("clip.wav")  # doctest: +SKIP
    """

    def __init__(self, model: "SpeechClassifier | Scorer") -> None:
        self.scorer: Scorer
        if isinstance(model, Scorer):
            self.scorer = model
            return
        from ser.inference.trained import TrainedScorer  # late: what is run by another library needs no torch

        self.scorer = TrainedScorer(model)

    @property
    def model(self) -> "SpeechClassifier":
        """The module of PyTorch, whose input is waveforms.

        Raises:
            ConfigError: If the model is run by another library.
        """
        module: SpeechClassifier | None = getattr(self.scorer, "model", None)
        if module is None:
            raise ConfigError(f"model must be a checkpoint for its module; got {self.scorer.name}. Load the run.")
        return module

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, or those of numbers, in the order of `columns`."""
        return self.scorer.classes

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of probabilities, or numbers, of every result; see `ser.inference.columns.class_columns`."""
        return class_columns(self.scorer.classes)

    @property
    def stamps(self) -> tuple[str, ...]:
        """Words that every result of the model must carry."""
        return self.scorer.stamps

    @property
    def trained_on(self) -> Sequence[Mapping[str, str]]:
        """The corpora of the training: ``name``, ``title``, ``language``, ``material`` and ``licence`` of each, if known."""
        return self.scorer.trained_on

    def __repr__(self) -> str:
        facts = [self.scorer.name, ", ".join(self.classes), f"{self.scorer.audio.sample_rate} Hz", *self.stamps]
        return f"Predictor({'; '.join(facts)})"

    def predict(
        self,
        audio: Any,
        rate: float | None = None,
        batch_size: int = 16,
        *,
        on_error: str = "raise",
        calibrated: bool = True,
        risk: float | None = None,
    ) -> "pd.DataFrame":
        """Return the emotions, or the numbers, of recordings; see `ser.inference.recordings` and `ser.inference.windows`.

        Recordings are read as they are needed, and scored in batches of bounded length. One of more than 30 s is scored
        in windows, and the answers are averaged, each weighted by its length.

        Args:
            audio: A path, a folder, a pattern, bytes, a binary file object, an array ``(sample,)`` or ``(sample,
                channel)`` with full scale = 1 (or integers), a pair of an array and its rate, numbers, a list of any of
                these, or a DataFrame with the column ``path``; any rate, channels and length.
            rate: Sampling rate in Hz of arrays; files know their own.
            batch_size: How many are scored at a time at most; no result depends on it.
            on_error: ``raise``, or ``row``: a recording that cannot be read is a row with the reason in ``error``.
            calibrated: Whether the temperature of the training is applied; probabilities of a run are without it.
            risk: Share of errors, such as 0.1. The column ``unsure`` is then true where the model should rather not answer:
                of the dev speakers' clips with at least such a probability of the label, no more than that share was wrong.

        Returns:
            One row per recording, in the given order: ``audio`` (the path, or the position), ``label``, one column of
            probabilities per class, see `columns`, ``set`` (its prediction set), ``unsure`` if a risk is given, ``flags``
            (a list of words), and the other columns of a DataFrame; of numbers none of ``label``, ``set`` and ``unsure``,
            and each in the unit of its training.
            ``attrs["stamps"]`` has the stamps of the model.

        Raises:
            AudioError: If one cannot be read, or holds no sound; the message names it.
            ConfigError: If an array has no usable ``rate``, ``batch_size`` is below 1, the model normalises by
                speaker or corpus and was not adapted to one, or it does not know its risk.
        """
        return predict.predict(
            self.scorer, audio, rate, batch_size, on_error=on_error, calibrated=calibrated, risk=risk
        )

    def show(self, audio: Any, rate: float | None = None, *, rows: int = 20) -> "Shown":
        """Return predictions that a notebook displays with bars of the probabilities, and a player for each recording.

        Args:
            audio: See `predict`; a recording that cannot be read is shown with the reason.
            rate: See `predict`.
            rows: How many recordings are shown at most; all are in ``.table``.

        Raises:
            ConfigError: As for `predict`, or if ``rows`` is below 1.
        """
        from ser.inference.shown import show  # late: only notebooks need it

        return show(self.scorer, audio, rate, rows)

    def embed(
        self, audio: Any, rate: float | None = None, batch_size: int = 16, *, on_error: str = "raise"
    ) -> "pd.DataFrame":
        """Return what the model's last layer gets of each recording, for a classifier or a map of one's own.

        Of a recording in windows, it is the mean over them, each weighted by its length.

        Args:
            audio: See `predict`.
            rate: See `predict`.
            batch_size: See `predict`.
            on_error: See `predict`.

        Returns:
            One row per recording, in the given order: ``audio``, ``e_0``, ``e_1``, ..., ``flags``, and the other columns
            of a DataFrame.

        Raises:
            AudioError: As for `predict`.
            ConfigError: As for `predict`, or if the model has no last linear layer.
        """
        return predict.embed(self.scorer, audio, rate, batch_size, on_error=on_error)

    def segments(
        self,
        audio: Any,
        rate: float | None = None,
        *,
        window: float = 3.0,
        hop: float = 0.5,
        turns: str | Path | None = None,
        speech: bool = False,
    ) -> segments.Segments:
        """Return what the model says of a recording over time; see `ser.inference.segments.score_segments`."""
        return segments.score_segments(self.scorer, audio, rate, window, hop, turns, speech)

    def stream(self, rate: float, *, window: float = 3.0, hop: float = 0.5, detector: str = "energy") -> "Stream":
        """Return what takes speech while it is spoken, in chunks; see `ser.inference.stream.Stream`."""
        from ser.inference.stream import Stream  # late: it is seldom needed

        return Stream(self.scorer, rate, window, hop, detector)

    def adapt(self, audio: Any, rate: float | None = None, batch_size: int = 16) -> None:
        """Normalise by the speaker, or corpus, of some recordings from now on; see ``normalise=speaker`` and ``corpus``.

        Args:
            audio: Recordings of one speaker, or corpus, without labels; the more varied, the better. See `predict`.
            rate: See `predict`.
            batch_size: See `predict`.

        Raises:
            AudioError: If one cannot be read, or holds no sound; the message names it.
            ConfigError: If the model does not normalise by speaker or corpus, or as for `predict`.
        """
        predict.adapt(self.scorer, audio, rate, batch_size)
