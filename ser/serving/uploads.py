"""Recordings that clients send: the body of a request within its limits, and its decoding."""

import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from ser.audio.decode import AudioSettings, OpenFile, open_recording
from ser.errors import AudioError
from ser.inference.decoded import Decoded, read_decoded
from ser.inference.recordings import suffix_of
from ser.serving.errors import ServingError
from ser.serving.limits import Limits

FILE = "file"
"""Field of a form that holds the recording."""
FORM = "multipart/form-data"
BINARY = ("application/octet-stream", "application/ogg")
TYPES = f"{FORM} with a field {FILE}, audio/*, video/* or {BINARY[0]}"
SAMPLES_PER_S = 400_000
"""Most samples of all channels in a second: 8 at 48 kHz, or 2 at 192 kHz. A small file of silence can stand for far more."""


async def uploaded(request: Request, most: int) -> bytes:
    """Return the recording in a request's body: the body itself, or the file in a form.

    Args:
        request: Its body has not been read.
        most: Bytes that are read at most.

    Raises:
        ServingError: If there is none, it has too many bytes, or is of another type.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM and kind not in BINARY and not kind.startswith(("audio/", "video/")):
        raise ServingError("unsupported", f"Content-Type must be {TYPES}; got {kind[:80] or 'none'}.")
    if (length := request.headers.get("content-length", "0")).isdecimal() and int(length) > most:
        raise _too_large(most)
    try:
        if kind != FORM:
            return b"".join([chunk async for chunk in _counted(request, most)])
        return await _of_form(request, most)
    except ClientDisconnect:
        raise ServingError("client_left", "The client left while it was sending.") from None


async def _of_form(request: Request, most: int) -> bytes:
    try:
        form = await MultiPartParser(request.headers, _counted(request, most), max_files=1, max_fields=8).parse()
    except (MultiPartException, KeyError, ValueError) as error:  # KeyError: a form without a boundary
        why = error.message if isinstance(error, MultiPartException) else "it has no boundary, or a broken one"
        raise ServingError(
            "bad_request", f"The body must be a form ({FORM}); got one that cannot be read: {why}"
        ) from None
    try:
        file = form.get(FILE)
        if file is None or isinstance(file, str):
            raise ServingError(
                "invalid", f"The form must have a file named {FILE}; got none. Send -F {FILE}=@clip.wav."
            )
        return await file.read()
    finally:
        await form.close()


async def _counted(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    read = 0
    async for chunk in request.stream():
        read += len(chunk)
        if read > most:
            raise _too_large(most)
        yield chunk


def _too_large(most: int) -> ServingError:
    return ServingError("too_large", f"A request must have at most {most} bytes; got more. Send a shorter recording.")


def decode_upload(content: bytes, settings: AudioSettings, limits: Limits) -> Decoded:
    """Decode a recording; it is in a file of the system's folder for temporary files meanwhile.

    Raises:
        ServingError: If it cannot be used, or is too long.
    """
    with open_upload(content, limits) as (_, recording):
        return read_decoded(recording, settings)


@contextmanager
def open_upload(content: bytes, limits: Limits) -> Iterator[tuple[Path, OpenFile]]:
    """Open a recording, and yield its temporary file, too. What it is called by its client has no say.

    Raises:
        ServingError: As `decode_upload`; also in place of an `AudioError` of the block.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"recording{suffix_of(content)}")
        path.write_bytes(content)
        try:
            with open_recording(path, path.name, limits.seconds + 1) as recording:
                _check(recording, limits)
                yield path, recording
        except AudioError as error:
            kind = "unsupported" if error.kind == "no decoder" else "bad_audio"
            raise ServingError(kind, f"{error.kind}: {error.detail}".replace(f"{folder}/", "")) from error


def _check(recording: OpenFile, limits: Limits) -> None:
    seconds = recording.frames / recording.rate if recording.rate > 0 else 0.0
    if seconds > limits.seconds:
        raise ServingError(
            "too_long", f"A recording must have at most {limits.seconds:g} s; got more. Send parts of it."
        )
    if (there := recording.rate * recording.channels) > SAMPLES_PER_S:
        text = f"A recording must have at most {SAMPLES_PER_S} samples of all channels in a second; got {there}."
        raise ServingError("too_large", text)
