"""Broken input for a server, the same for a seed: bodies of requests, and messages of live streams."""

import io
import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import soundfile

BOUNDARY = "edge"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
TYPES = (
    FORM,
    "multipart/form-data; boundary=other",
    "multipart/form-data",
    "multipart/form-data;;=",
    "audio/wav",
    "audio/x",
    "video/webm",
    "application/octet-stream",
    "text/plain",
    "application/json",
    "",
)
PATHS = (
    "/v1/predict",
    "/v1/segments",
    "/v1/segments?window=0.5&hop=0.1",
    "/v1/segments?window=nan",
    "/v1/segments?hop=-1&window=1e999",
    "/v1/predict?model=%00",
)
FIELDS = {4: 4, 16: 4, 20: 2, 22: 2, 24: 4, 28: 4, 32: 2, 34: 2, 40: 4}
"""Numbers in the header of a WAV file of 44 bytes: where each is, and its bytes."""
NUMBERS = (0, 1, 3, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
START = '{"type": "start", "rate": 16000}'
TEXTS = (
    START,
    '{"type": "start", "rate": 1e999}',
    '{"type": "start", "rate": 16000, "window": 0.1, "hop": 0.1}',
    '{"type": "end"}',
    '{"type": 3}',
    "[" * 100_000,
    "{}",
    "null",
    "\ud7ff\x00",
)


class Body(NamedTuple):
    """A request with a body that is broken, or may be.

    Attributes:
        path: Path and query.
        kind: Its ``Content-Type``.
        content: The body.
        sent: Bytes of it that are sent before the client leaves; all of them where it waits for the answer.
    """

    path: str
    kind: str
    content: bytes
    sent: int


class Talk(NamedTuple):
    """Messages of a stream.

    Attributes:
        messages: Bytes or texts.
        leaves: Whether the client leaves without a word after the last.
    """

    messages: list[bytes | str]
    leaves: bool


def bodies(seed: int, number: int) -> Iterator[Body]:
    """Yield requests: recordings and forms with bytes changed, cut out or added, numbers of headers changed, ends cut off.

    Others are random bytes, and some have another type, or break off while they are sent.
    """
    generator, whole = random.Random(seed), _recordings()
    for _ in range(number):
        content = generator.choice(whole)
        content = generator.choice([_edited, _with_other_numbers, _cut_off, _random])(content, generator)
        form = generator.random() < 0.4
        kind = FORM if form and generator.random() < 0.7 else generator.choice(TYPES)
        if form:
            content = generator.choice([_form, _broken_form])(content, generator)
        breaks_off = generator.random() < 0.1
        sent = generator.randrange(len(content) + 1) if breaks_off else len(content)
        yield Body(generator.choice(PATHS), kind, content, sent)


def talks(seed: int, number: int) -> Iterator[Talk]:
    """Yield streams: of samples, of bytes that are none, and of texts that break rules."""
    generator = random.Random(seed)
    for _ in range(number):
        messages: list[bytes | str] = [START] if generator.random() < 0.7 else []
        for _ in range(generator.randrange(4)):
            noise = generator.randbytes(generator.randrange(3000))
            kinds: list[bytes | str] = [noise, noise.decode("latin-1"), generator.choice(TEXTS)]
            messages.append(generator.choice(kinds))
        yield Talk(messages, leaves=generator.random() < 0.2)


def _recordings() -> list[bytes]:
    samples = np.random.default_rng(0).normal(0, 0.1, 1600)
    found = []
    for form, subtype in (("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", None), ("OGG", None), ("MP3", None)):
        file = io.BytesIO()
        soundfile.write(file, samples, 16000, format=form, subtype=subtype)
        found.append(file.getvalue())
    return [*found, b"RIFF", b"fLaC", b"OggS", b"\0\0\0\x18ftypM4A ", b""]


def _edited(content: bytes, generator: random.Random) -> bytes:
    edited = bytearray(content)
    for _ in range(generator.randrange(1, 8)):
        at = generator.randrange(len(edited) + 1)
        edited[at : at + generator.randrange(4)] = generator.randbytes(generator.randrange(4))
    return bytes(edited)


def _with_other_numbers(content: bytes, generator: random.Random) -> bytes:
    edited = bytearray(content)
    for at in generator.sample(sorted(FIELDS), generator.randrange(1, 4)):
        size = FIELDS[at]
        number = generator.choice([*NUMBERS, generator.getrandbits(32)])
        edited[at : at + size] = (number % 256**size).to_bytes(size, "little")
    return bytes(edited)


def _cut_off(content: bytes, generator: random.Random) -> bytes:
    return content[: generator.randrange(len(content) + 1)]


def _random(content: bytes, generator: random.Random) -> bytes:
    return generator.randbytes(generator.randrange(5000))


def _form(content: bytes, generator: random.Random) -> bytes:
    name = generator.choice(["file", "file", "file", "other", "", '"'])
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="../a b.wav"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def _broken_form(content: bytes, generator: random.Random) -> bytes:
    return generator.choice([_edited, _cut_off])(_form(content, generator), generator)
