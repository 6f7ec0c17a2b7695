"""`Decoded`: a recording that has been read, so that one thread can read recordings while another scores them."""

from collections.abc import Iterator
from dataclasses import dataclass

from ser.audio.decode import AudioSettings
from ser.audio.quality import Quality
from ser.inference.recordings import Readable
from ser.inference.windows import Piece, pieces


@dataclass(frozen=True)
class Decoded:
    """A recording as a model hears it; `ser.inference.predictor.Predictor.predict` takes it in place of the recording.

    Attributes:
        parts: Its pieces; see `ser.inference.windows`.
        flags: Words of `ser.audio.quality.FLAGS`.
        seconds: Its length.
    """

    parts: tuple[Piece, ...]
    flags: tuple[str, ...]
    seconds: float

    def pieces(self, row: int) -> Iterator[Piece]:
        """Yield its pieces, as those of the recording with a number."""
        yield from (piece._replace(row=row) for piece in self.parts)


def read_decoded(recording: Readable, settings: AudioSettings) -> Decoded:
    """Read a recording that is open.

    Args:
        recording: See `ser.inference.recordings.opened_source` and `ser.audio.decode.open_recording`.
        settings: Those of the model.

    Raises:
        AudioError: If it cannot be used.
    """
    quality = Quality()
    parts = tuple(pieces(recording, 0, settings, quality=quality))
    return Decoded(parts, tuple(quality.flags()), recording.frames / recording.rate)
