"""Encoders give the states that transformers gives the clip alone, whatever its padding and batch."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.models.encoders.checkpoint import build_encoder, fetch
from ser.models.encoders.encoder import Encoder
from ser.models.encoders.whisper import WhisperEncoder
from tests.checkpoints import MADE, NOT_NORMALISED, RAW, preprocessor_of
from tests.models.encoders.conftest import Make
from tests.numerics import EXACT, rounding

transformers = pytest.importorskip("transformers")

LENGTHS = [6000, 9123, 3001, 6000]
Load = Callable[..., Encoder]


@pytest.fixture
def load(make_checkpoint: Make) -> Load:
    def loaded(name: str, head: str = "", **settings: Any) -> Encoder:
        architecture, weights = fetch(str(make_checkpoint(name, head)))
        encoder = build_encoder(architecture, **settings)
        encoder.load_state_dict(weights)
        return encoder.eval().double()

    return loaded


def clips(lengths: list[int] = LENGTHS) -> tuple[Tensor, Tensor]:
    """Noise with an offset, louder and louder, zero-padded: ``(batch, sample)`` float64 and ``(batch,)``."""
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randn(n, generator=generator).double() * 0.1 * (i + 1) + 0.05 for i, n in enumerate(lengths)]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor(lengths)


def transformers_states(name: str, make_checkpoint: Make, values: Tensor) -> Tensor:
    """What transformers gives a clip alone, from the front end, which has a test of its own: ``(layer, frame, width)``."""
    net = transformers.AutoModel.from_pretrained(make_checkpoint(name)).eval().double()
    net = net if name in RAW else net.encoder
    with torch.no_grad():
        out = net(values, output_hidden_states=True)
    last = out.last_hidden_state if out.last_hidden_state.shape == out.hidden_states[0].shape else out.hidden_states[-1]
    return torch.cat([*out.hidden_states[:-1], last])


@pytest.mark.parametrize("name", RAW)
def test_states_in_padded_batch_equal_transformers_for_the_clip_alone(
    name: str, load: Load, make_checkpoint: Make
) -> None:
    encoder = load(name)
    waveform, lengths = clips()
    with torch.no_grad():
        states, frames = encoder(waveform, lengths)
    assert states.shape[:2] == (4, encoder.n_states) == (4, 4)
    assert states.shape[3] == encoder.width == 32
    for i, n in enumerate(LENGTHS):
        expected = transformers_states(
            name, make_checkpoint, encoder.front_end(waveform[i : i + 1, :n], lengths[i : i + 1])
        )
        assert frames[i] == expected.shape[1]
        torch.testing.assert_close(states[i, :, : frames[i]], expected, **EXACT)
        assert not states[i, :, frames[i] :].any()


@pytest.mark.parametrize("name", MADE)
def test_clip_alone_and_in_two_batches_gets_the_same_states(name: str, load: Load) -> None:
    encoder = load(name)
    waveform, lengths = clips()
    with torch.no_grad():
        batch, frames = encoder(waveform, lengths)
        other, _ = encoder(nn.functional.pad(waveform[[2, 0]], (0, 500)), lengths[[2, 0]])
        alone, n = encoder(waveform[2:3, : LENGTHS[2]], lengths[2:3])
    assert n == frames[2] == alone.shape[2]
    torch.testing.assert_close(batch[2, :, :n], alone[0], **EXACT)
    torch.testing.assert_close(other[0, :, :n], alone[0], **EXACT)


@pytest.mark.parametrize("name", ["wav2vec2 base", "hubert with batch norm", "data2vec"])
def test_transformers_padded_run_differs(name: str, make_checkpoint: Make) -> None:
    """The reason for what keeps padding out: without it, these families fail the test above."""
    net = transformers.AutoModel.from_pretrained(make_checkpoint(name)).eval().double()
    waveform, _ = clips([3001, 9000])
    padded = net(waveform, attention_mask=(waveform != 0).long()).last_hidden_state[0]
    alone = net(waveform[:1, :3001]).last_hidden_state[0]
    assert (padded[: len(alone)] - alone).abs().max() > 1e-2


@pytest.mark.parametrize("name", ["wav2vec2 base", "wavlm base"])
def test_front_end_equals_transformers(name: str, load: Load, make_checkpoint: Make) -> None:
    extract = transformers.Wav2Vec2FeatureExtractor.from_pretrained(make_checkpoint(name))
    waveform, lengths = clips()
    rows = [row[:n].float().numpy() for row, n in zip(waveform, LENGTHS, strict=True)]
    expected = extract(rows, sampling_rate=16000, padding=True, return_tensors="pt").input_values
    # Float32 values of up to 5 deviations; a mean and a variance, each added up pairwise over 2**14 samples at most.
    ours = load(name).front_end(waveform, lengths)
    torch.testing.assert_close(ours, expected.double(), rtol=0, atol=rounding(5, 2 * 14))
    assert (name in NOT_NORMALISED) == torch.equal(expected, waveform.float())


# ---- Whisper


@pytest.mark.parametrize("name", ["whisper 80", "whisper 128"])
def test_log_mel_equals_transformers(name: str, load: Load, make_checkpoint: Make) -> None:
    extract = transformers.WhisperFeatureExtractor.from_pretrained(make_checkpoint(name))
    waveform, _ = clips([31 * 160 + 1])
    expected = extract(waveform[0].float().numpy(), sampling_rate=16000, return_tensors="pt").input_features.double()
    made = load(name).log_mel(waveform, 200)
    assert made.shape == expected.shape == (1, preprocessor_of(name)["feature_size"], 200)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(load(name).log_mel(waveform, 32), expected[..., :32], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["whisper 80", "whisper 128"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_whisper_with_30_s_of_silence_equals_transformers(
    name: str, attention: str, load: Load, make_checkpoint: Make
) -> None:
    encoder = load(name, attention=attention, silence=2.0)
    waveform, lengths = clips([6000, 9123, 31900, 1])
    with torch.no_grad():
        states, frames = encoder(waveform, lengths)
    assert frames.tolist() == [19, 29, 100, 1]  # two mel frames of 160 samples each, those begun counted whole
    for i, n in enumerate(lengths.tolist()):
        expected = transformers_states(name, make_checkpoint, encoder.log_mel(waveform[i : i + 1, :n], 200))
        torch.testing.assert_close(states[i, :, : frames[i]], expected[:, : frames[i]], **EXACT)


def test_whispers_transformer_input_equals_the_padded_run(load: Load, make_checkpoint: Make) -> None:
    """With some silence behind it, all of it; without, but for the last frame, which the convolutions' border reaches."""
    waveform, lengths = clips([6000])
    encoder = load("whisper 80", silence=0.1)
    expected = transformers_states("whisper 80", make_checkpoint, encoder.log_mel(waveform, 200))[0]
    with torch.no_grad():
        states, frames = encoder(waveform, lengths)
        bare, _ = load("whisper 80", silence=0.0)(waveform, lengths)
    torch.testing.assert_close(states[0, 0], expected[: int(frames)], **EXACT)
    torch.testing.assert_close(bare[0, 0, :-1], expected[: int(frames) - 1], **EXACT)
    assert (bare[0, 0, -1] - expected[int(frames) - 1]).abs().max() > 1e-3


def test_silence_after_a_clip_changes_whispers_states(load: Load) -> None:
    waveform, lengths = clips([6000])
    with torch.no_grad():
        one, frames = load("whisper 80", silence=1.0)(waveform, lengths)
        none, same = load("whisper 80", silence=0.0)(waveform, lengths)
        default, _ = load("whisper 80")(waveform, lengths)
    assert frames == same == one.shape[2] == none.shape[2]
    assert (one - none).abs().max() > 1e-3
    assert torch.equal(one, default)


def test_recording_longer_than_whispers_positions_is_split_into_equal_windows(load: Load) -> None:
    encoder = load("whisper 80")
    samples = 70000  # 438 mel frames: 3 windows of at most 200, in even numbers 146, 146, 146
    waveform, lengths = clips([samples, 6000])
    with torch.no_grad():
        states, frames = encoder(waveform, lengths)
        parts = [encoder(part, torch.tensor([part.shape[1]]))[0] for part in waveform[:1].split(146 * 160, dim=1)]
        short, _ = encoder(waveform[1:, :6000], lengths[1:])
    assert frames.tolist() == [219, 19]
    torch.testing.assert_close(states[:1], torch.cat(parts, dim=2), **EXACT)
    torch.testing.assert_close(states[1:, :, :19], short, **EXACT)
    assert not states[1, :, 19:].any()


def test_windows_cover_every_frame_once(load: Load) -> None:
    encoder = load("whisper 80")
    assert isinstance(encoder, WhisperEncoder)
    for length in (0, 1, 31999, 32000, 32001, 64000, 64001, 1_000_003):
        window = encoder.window(length)
        assert window % 320 == 0
        assert window <= 32000
        rows = -(-max(length, 1) // window)
        assert rows == max(1, -(-length // 32000)), "no more windows than are needed"


# ---- any family


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("length", [1, 5, 48])
def test_clip_shorter_than_a_frame_is_one_frame_alone_and_in_a_batch(name: str, length: int, load: Load) -> None:
    encoder = load(name)
    waveform, lengths = clips([length, 6000])
    with torch.no_grad():
        alone, frames = encoder(waveform[:1, :length], lengths[:1])
        batch, _ = encoder(waveform, lengths)
    assert frames.tolist() == [1]
    assert alone.isfinite().all()
    torch.testing.assert_close(batch[0, :, :1], alone[0], **EXACT)


@pytest.mark.parametrize("name", MADE)
def test_keeping_fewer_layers_keeps_their_states(name: str, load: Load) -> None:
    encoder, lower = load(name), load(name)
    lower.keep(2)
    waveform, lengths = clips()
    with torch.no_grad():
        states, _ = encoder(waveform, lengths)
        fewer, _ = lower(waveform, lengths)
    assert lower.n_states == fewer.shape[1] == 3
    torch.testing.assert_close(fewer, states[:, :3], **EXACT)
    lower.keep(2)
    with pytest.raises(ConfigError, match=r"must be from 1 to 2, .* got 3"):
        lower.keep(3)


@pytest.mark.parametrize("name", ["wav2vec2 large", "whisper 80", "conformer"])
def test_final_norm_is_dropped_with_the_last_layer(name: str, load: Load) -> None:
    encoder = load(name)
    before = {n.removeprefix("net.encoder.").removeprefix("net.") for n in encoder.state_dict()}
    encoder.keep(1)
    after = {n.removeprefix("net.encoder.").removeprefix("net.") for n in encoder.state_dict()}
    assert before - after >= {"layer_norm.weight", "layer_norm.bias"}


@pytest.mark.parametrize("name", MADE)
def test_blocks_and_stem_cover_all_but_the_layers_above(name: str, load: Load) -> None:
    encoder = load(name)
    encoder.keep(2)  # drops the final norm
    held = {id(p) for part in [*encoder.blocks, *encoder.stem] for p in part.parameters()}
    above = [n for n, p in encoder.named_parameters() if id(p) not in held and "upsample" not in n]
    assert above == []
    assert {id(p) for p in encoder.feature_extractor.parameters()} < held
    below = {id(p) for part in encoder.stem for p in part.parameters()}
    assert not below & {id(p) for p in encoder.blocks.parameters()}


class Recorder(nn.Module):
    """Notes what it is called with; masks the first frame."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[torch.Size, list[int]]] = []

    def forward(self, frames: Tensor, lengths: Tensor, fill: Tensor | None = None) -> Tensor:
        self.calls.append((frames.shape, lengths.tolist()))
        value = torch.zeros(frames.shape[2]) if fill is None else fill
        first = torch.arange(frames.shape[1])[None, :, None] == 0
        return torch.where(first, value, frames)


@pytest.mark.parametrize("name", ["wav2vec2 base", "wavlm large", "data2vec", "sew", "whisper 80"])
def test_mask_is_called_in_training_only(name: str, load: Load) -> None:
    encoder = without_dropout(load(name))
    waveform, lengths = clips([6000, 6000, 3001])
    bare, frames = encoder(waveform, lengths)
    encoder.mask = Recorder()
    unmasked, _ = encoder.eval()(waveform, lengths)
    torch.testing.assert_close(unmasked, bare, **EXACT)
    assert encoder.mask.calls == []
    masked, _ = encoder.train()(waveform, lengths)
    assert (masked[:, 0, 0] - bare[:, 0, 0]).abs().max() > 1e-3
    seen = [n for shape, counts in encoder.mask.calls for n in counts]
    if name == "whisper 80":
        assert seen == [38, 38, 19]
    elif name == "sew":
        assert sorted(seen) == [149, 299, 299]  # before it pools pairs of frames
    else:
        assert seen == frames.tolist()


def without_dropout(encoder: Encoder) -> Encoder:
    """In training mode, but deterministic."""
    encoder.train()
    for module in encoder.modules():
        for name in ("p", "dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    return encoder


@pytest.mark.parametrize("name", ["wav2vec2 base", "wavlm base", "data2vec", "whisper 80"])
def test_gradient_checkpointing_gives_the_same_gradients(name: str, load: Load) -> None:
    plain = without_dropout(load(name))
    saving = copy.deepcopy(plain)
    saving.gradient_checkpointing(True)
    plain(*clips([300]))  # a copy has lengths of its own
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    norm = next(m for m in saving.blocks[0].modules() if isinstance(m, nn.LayerNorm))
    norm.register_forward_hook(count)
    waveform, lengths = clips()
    for encoder in (plain, saving):
        encoder.feature_extractor.requires_grad_(False)
        encoder(waveform, lengths)[0].square().mean().backward()
    assert calls == 2, "once forward, once more in the backward pass"
    pairs = list(zip(plain.named_parameters(), saving.parameters(), strict=True))
    assert sum(ours.grad is not None for (_, ours), _ in pairs) > 20
    for (parameter, ours), theirs in pairs:
        assert (ours.grad is None) == (theirs.grad is None), parameter
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, **EXACT)


@pytest.mark.parametrize("name", ["wav2vec2 base", "hubert with batch norm", "data2vec", "wavlm base", "conformer"])
def test_training_ignores_padding(name: str, load: Load) -> None:
    """The gradient of a batch is the sum of the clips' own."""
    encoder = without_dropout(load(name))
    waveform, lengths = clips([6000, 3001])
    encoder(waveform, lengths)[0].square().sum().backward()
    together = {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}
    encoder.zero_grad()
    for i, n in enumerate([6000, 3001]):
        encoder(waveform[i : i + 1, :n], lengths[i : i + 1])[0].square().sum().backward()
    assert len(together) > 20
    for parameter, p in encoder.named_parameters():
        if p.grad is not None:
            # Gradients reach some thousands; that of a bias of keys, which shifts all scores of a softmax alike, is what
            # rounding left of them.
            torch.testing.assert_close(together[parameter], p.grad, rtol=1e-9, atol=1e-8)


def test_frozen_stem_stores_no_activations(load: Load) -> None:
    encoder = load("wav2vec2 base").train()
    encoder.feature_extractor.requires_grad_(False)
    outputs = []
    encoder.feature_extractor.register_forward_hook(lambda *arguments: outputs.append(arguments[2]))
    encoder(*clips())
    assert not outputs[0].requires_grad


@pytest.mark.parametrize("name", ["wav2vec2 base", "data2vec", "whisper 80"])
def test_half_precision_states_are_close_and_float32(name: str, load: Load) -> None:
    encoder = load(name).float()
    waveform, lengths = clips()
    waveform = waveform.float()
    with torch.no_grad():
        single, _ = encoder(waveform, lengths)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half, _ = encoder(waveform, lengths)
    assert half.dtype == torch.float32
    assert (half - single).abs().mean() < 0.03 * single.abs().mean()


@pytest.mark.parametrize(("width", "kernel"), [(768, 128), (1024, 128), (768, 19)])
def test_positional_convolutions_of_real_encoders_are_right_in_half_precision(width: int, kernel: int) -> None:
    """On this processor, with their 16 groups: those of tiny ones are not everywhere (see `tests.checkpoints`)."""
    torch.manual_seed(0)
    features, weight = torch.randn(2, width, 150).bfloat16(), torch.randn(width, width // 16, kernel).bfloat16()
    half = nn.functional.conv1d(features, weight, groups=16).float()
    single = nn.functional.conv1d(features.float(), weight.float(), groups=16)
    assert (half - single).abs().mean() < 0.01 * single.abs().mean()


@pytest.mark.parametrize("name", ["wav2vec2 base", "hubert base", "data2vec", "whisper 80"])
def test_both_kinds_of_attention_give_the_same_states(name: str, load: Load) -> None:
    waveform, lengths = clips()
    with torch.no_grad():
        fused, _ = load(name, attention="sdpa")(waveform, lengths)
        plain, _ = load(name, attention="eager")(waveform, lengths)
    torch.testing.assert_close(plain, fused, **EXACT)


def test_auto_attention_depends_on_the_family(make_checkpoint: Make) -> None:
    waves, _ = fetch(str(make_checkpoint("wav2vec2 base")))
    bent, _ = fetch(str(make_checkpoint("wavlm base")))
    assert build_encoder(waves).net.config._attn_implementation == "sdpa"
    assert build_encoder(waves, "eager").net.config._attn_implementation == "eager"
    assert build_encoder(bent).net.config._attn_implementation == "eager"
    with pytest.raises(ConfigError, match="must be auto or eager for WavLMModel"):
        build_encoder(bent, "sdpa")
    with pytest.raises(ConfigError, match="must be auto, sdpa or eager; got 'flash'"):
        build_encoder(waves, "flash")
