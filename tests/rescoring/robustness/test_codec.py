"""Codecs keep a clip's length and position, at the requested bit rate."""

import io
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from ser.errors import ConfigError
from ser.rescoring.robustness.codec import GSM, MP3, Codec, Opus
from tests.rescoring.robustness.conftest import RATE, Batch, batch_of, hear

EVERY = [(MP3([64]), 0.99), (MP3([32]), 0.95), (MP3([16]), 0.85), (Opus([32]), 0.97), (Opus([16]), 0.92)]
EVERY += [(Opus([8]), 0.6), (GSM([13]), 0.7)]


def name(value: Any) -> str | None:
    return f"{type(value).__name__}-{value.levels[0]}" if isinstance(value, Codec) else None


@pytest.mark.parametrize(("codec", "alike"), EVERY, ids=name)
def test_codecs_keep_length_and_position(codec: Codec, alike: float, speech: Batch) -> None:
    waveform, lengths = speech
    heard, same = hear(codec, speech)
    assert same.tolist() == lengths.tolist()
    assert heard.shape == waveform.shape
    for before, after, n in zip(waveform.numpy(), heard.numpy(), lengths.tolist(), strict=True):
        around = {lag: np.corrcoef(before[50 : n - 50], after[50 + lag : n - 50 + lag])[0, 1] for lag in range(-40, 41)}
        best = max(around, key=lambda lag: around[lag])
        assert abs(best) <= 1
        assert around[best] > alike
        assert np.abs(before[:n] - after[:n]).max() > 1e-3, "nothing was lost: was anything coded?"


@pytest.mark.parametrize("samples", [100, 575, 576, 1105, 16001])
@pytest.mark.parametrize("codec", [MP3([32]), Opus([16]), GSM([13])], ids=name)
def test_codecs_keep_any_length(codec: Codec, samples: int) -> None:
    noise = np.random.default_rng(0).standard_normal(samples) * 0.1
    heard, lengths = hear(codec, batch_of([noise]))
    assert lengths.tolist() == [samples]
    assert heard.shape == (1, samples)


# Opus aims at its rate for typical sound, and each file has headers of some hundred bytes; the others are constant.
@pytest.mark.parametrize(
    ("codec", "share"), [(MP3([32]), 0.05), (MP3([16]), 0.05), (GSM([13]), 0.02), (Opus([16]), 0.3), (Opus([8]), 0.4)],
    ids=name,
)  # fmt: skip
def test_bit_rate_is_the_requested_one(codec: Codec, share: float, speech: Batch) -> None:
    sizes = []
    read = soundfile.read

    def measured(file: io.BytesIO, **options: Any) -> Any:
        sizes.append(file.getbuffer().nbytes)
        return read(file, **options)

    clip = speech[0][0, : int(speech[1][0])].repeat(8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(soundfile, "read", measured)
        hear(codec, (clip[None], torch.tensor([len(clip)])))
    assert 8 * sizes[0] / (len(clip) / RATE) / 1000 == pytest.approx(codec.levels[0], rel=share)


@pytest.mark.parametrize(
    ("codec", "words"), [(GSM([12]), "from 13 to 13 kbit/s; got 12"), (MP3([4]), "8 to 160"), (Opus([5]), "6 to 256")]
)
def test_unsupported_bit_rates_are_refused(codec: Codec, words: str, speech: Batch) -> None:
    with pytest.raises(ConfigError, match=words):
        hear(codec, speech)


@pytest.mark.parametrize("error", [ValueError("Unknown format"), soundfile.LibsndfileError(1)])
def test_libsndfile_without_the_codec_is_named(error: Exception, speech: Batch) -> None:
    def unavailable(*_: object, **__: object) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(soundfile, "write", unavailable)
        with pytest.raises(ConfigError, match=r"libsndfile .* does not support OPUS in OGG at 16000 Hz"):
            hear(Opus([16]), speech)
