"""mu-law against libsndfile's G.711, and its zero."""

import io

import pytest
import soundfile
import torch

from ser.signal.codec import mu_law
from ser.signal.padding import power
from tests.features import clips


def test_mu_law_has_the_error_of_g_711() -> None:
    clip = torch.from_numpy(clips.clip("demo"))[None]
    lengths = torch.tensor([clip.shape[1]])
    file = io.BytesIO()
    soundfile.write(file, clip[0].numpy(), 8000, format="WAV", subtype="ULAW")
    file.seek(0)
    published = torch.from_numpy(soundfile.read(file, dtype="float32")[0])[None]
    both = (mu_law(clip, 8), published)
    errors = [float(10 * torch.log10(power(x - clip, lengths) / power(clip, lengths))) for x in both]
    # G.711 has 16 straight segments where the law is a curve, and its largest value is 0.98.
    assert errors[0] == pytest.approx(errors[1], abs=1.0)
    assert errors[0] < -34


def test_mu_law_has_an_exact_zero_and_is_symmetric() -> None:
    coded = mu_law(torch.linspace(-1, 1, 100_001), 8)
    assert coded[50_000] == 0
    torch.testing.assert_close(coded, -coded.flip(0), rtol=0, atol=0)
    assert len(coded.unique()) == 255
    torch.testing.assert_close(mu_law(coded, 8), coded)
