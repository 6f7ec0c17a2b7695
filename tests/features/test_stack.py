"""Stacked features: their rows, what the command line makes of names, and what is refused."""

from typing import Any

import pytest
import torch
from hydra import compose
from omegaconf import OmegaConf

from ser.errors import ConfigError
from ser.features.cepstra import LFCC, MFCC
from ser.features.chroma import Chroma
from ser.features.logmel import LogMel
from ser.features.pcen import PCEN
from ser.features.samples import RMS, ZeroCrossingRate
from ser.features.spectral import Spectral
from ser.features.stack import Stack
from ser.runtime.composition import composed
from ser.runtime.instantiate import instantiate
from ser.runtime.parts import composing, fill_parts
from ser.sweeps import names

LENGTHS = torch.tensor([9000, 16000])


def speech() -> torch.Tensor:
    samples = 0.1 * torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))
    samples[0, 9000:] = 0
    return samples


def features_of(*overrides: str) -> dict[str, Any]:
    made = OmegaConf.to_container(composed("train", overrides), resolve=True)
    assert isinstance(made, dict)
    return made["features"]  # type: ignore[no-any-return]


def test_rows_are_those_of_the_parts_in_their_order() -> None:
    parts = [RMS(), MFCC(window_ms=64.0, hop_ms=16.0), ZeroCrossingRate()]
    features, frames = Stack(parts)(speech(), LENGTHS)
    apart = [part(speech(), LENGTHS) for part in parts]
    torch.testing.assert_close(features, torch.cat([rows for rows, _ in apart], dim=1), rtol=0, atol=0)
    torch.testing.assert_close(frames, apart[0][1])
    assert Stack(parts).names == parts[0].names + parts[1].names + parts[2].names


def test_parts_with_the_same_frames_share_one_spectrum(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"window_ms": 64.0, "hop_ms": 16.0}
    parts = [MFCC(**sizes), Chroma(**sizes), LogMel(**sizes), Spectral(**sizes), PCEN(**sizes), LFCC(**sizes)]
    apart = torch.cat([part(speech(), LENGTHS)[0] for part in parts], dim=1)
    taken: list[int] = []
    stft = torch.stft

    def counted(samples: torch.Tensor, span: int, *rest: Any, **more: Any) -> torch.Tensor:
        taken.append(span)
        return stft(samples, span, *rest, **more)

    monkeypatch.setattr(torch, "stft", counted)
    torch.testing.assert_close(Stack(parts)(speech(), LENGTHS)[0], apart, rtol=0, atol=0)
    assert taken == [1024]
    short = Stack(parts)(speech()[:, :100], torch.tensor([100, 60]))[0]  # shorter than a frame
    torch.testing.assert_close(
        short, torch.cat([part(speech()[:, :100], torch.tensor([100, 60]))[0] for part in parts], dim=1), rtol=0, atol=0
    )


def test_names_become_whole_configurations() -> None:
    features = features_of(
        "features=stack", "features.parts=[chroma,{mfcc:{n_mfcc:13,deltas:0}}]", "audio.sample_rate=8000"
    )
    assert features["parts"][1] == {**features_of("features=mfcc", "audio.sample_rate=8000"), "n_mfcc": 13, "deltas": 0}
    made = instantiate(features, Stack)
    assert made.n_features == 12 + 13
    again = composed("train", ["features=stack", "features.parts=[chroma,{mfcc:{n_mfcc:13,deltas:0}}]"])
    assert [part["_target_"] for part in again.features.parts] == [part["_target_"] for part in features["parts"]]


def test_functionals_of_a_stack_are_filled_too() -> None:
    of = {"_target_": "ser.features.stack.Stack", "parts": ["rms", "zcr"]}
    features = {"_target_": "ser.features.functionals.Functionals", "functionals": ["mean"], "of": of}
    config = OmegaConf.create({"audio": {"sample_rate": 16000}, "features": features})
    fill_parts(config)
    made = instantiate(OmegaConf.to_container(config, resolve=True)["features"], torch.nn.Module)  # type: ignore[call-overload]
    vector, frames = made(speech(), LENGTHS)
    assert vector.shape == (2, 2, 1)
    assert frames.tolist() == [1, 1]


def test_window_and_hop_of_a_stack_are_those_of_every_part() -> None:
    made = instantiate(features_of("features=stack", "features.window_ms=32", "features.hop_ms=8"), Stack)
    features, frames = made(speech(), LENGTHS)
    assert features.shape[2] == int(frames.max()) == 1 + (16000 - 512) // 128


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ("[mfc]", r"features.parts must be among chroma, .*; got mfc. Did you mean mfcc\?"),
        ("[mfcc,mfcc]", "features.parts must have rows of different names; got delta2_mfcc_0 twice"),
        ("[]", "features.parts must be a list of features, such as .*; got none"),
        ("[3]", "features.parts must be names of features, such as .*; got 3"),
        ("[{mfcc:{mfcc:13}}]", "MFCC: .*It takes: .*n_mfcc"),
    ],
)
def test_wrong_parts_are_a_sentence(parts: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        instantiate(features_of("features=stack", f"features.parts={parts}"), Stack)


def test_parts_of_other_frames_are_refused() -> None:
    made = Stack([RMS(hop_ms=16.0), ZeroCrossingRate(hop_ms=10.0)])
    with pytest.raises(ConfigError, match=r"the same frames; RMS has 59, ZeroCrossingRate 94. Set features.window_ms"):
        made(speech(), LENGTHS)


def test_a_job_of_a_sweep_has_one_name_before_and_after_its_parts_are_filled() -> None:
    with composing():
        config = compose("train", ["features=stack", "features.parts=[rms,zcr]"])
    before = names._job_name(config)
    assert list(config.features.parts) == ["rms", "zcr"]
    fill_parts(config)
    assert config.features.parts[0]["_target_"] == "ser.features.samples.RMS"
    assert names._job_name(config) == before
