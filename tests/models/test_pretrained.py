"""A pretrained encoder with a head: what it trains, in which parts, and that no clip's result hangs on its batch."""

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ser.datamodules.batch import Batch
from ser.errors import ConfigError
from ser.models.encoders import embedding
from ser.models.encoders.checkpoint import fetch
from ser.models.encoders.embedding import parts_of
from ser.models.encoders.encoder import Encoder
from ser.models.pretrained import Pretrained
from tests.checkpoints import NO_DROPOUT, SYSTEMS
from tests.models.conftest import MakeCheckpoint, MakeModel, training_of
from tests.models.test_models import livened, logits_of, quiet, waveforms
from tests.numerics import EXACT, rounding

pytest.importorskip("transformers")
pytest.importorskip("peft")

each_checkpoint = pytest.mark.parametrize("name", SYSTEMS)
LORA = "model.finetune.lora={rank: 2, alpha: 4}"
SECONDS = (1.0, 0.75, 2.6, 0.4, 0.9, 1.1, 0.05, 0.6)
"""Of the clips of a batch. One is longer than the tiny Whisper has positions, one shorter than most kernels."""
LAST_ROUNDING = rounding(8, 1)
"""Of logits below 8: heads end in float32, whatever the precision below them."""
Make = Callable[..., Pretrained]


@pytest.fixture
def make(make_model: MakeModel, make_checkpoint: MakeCheckpoint) -> Make:
    """``make("wavlm base", "model.finetune.layers=1", hidden_dropout=0.0)``: in training mode, by its file of conf/model."""

    def made(name: str, *overrides: str, **settings: Any) -> Pretrained:
        checkpoint = f"model.encoder.checkpoint={make_checkpoint(name, **settings)}"
        model = quiet(make_model(SYSTEMS[name], checkpoint, "model.head.hidden=16", "model.head.count=2", *overrides))
        assert isinstance(model, Pretrained)
        return model

    return made


def calm(name: str) -> dict[str, float]:
    """Settings of a checkpoint without dropout."""
    return {} if name.startswith("whisper") else NO_DROPOUT


def noise() -> list[Tensor]:
    return waveforms(*(round(16000 * s) for s in SECONDS))


def batch_of(clips: list[Tensor]) -> Batch:
    index = torch.arange(len(clips))
    return Batch(
        pad_sequence(clips, batch_first=True), torch.tensor([len(c) for c in clips]), index, index, index, index
    )


def gradients(model: Pretrained, batch: Batch, seed: int = 0) -> dict[str, Tensor]:
    """Of one training step in float64, by parameter; the loss among them."""
    model.double().zero_grad()
    torch.manual_seed(seed)
    target = nn.functional.one_hot(batch.target, len(model.classes)).double()
    loss = training_of(model).double().training_step(batch._replace(waveform=batch.waveform.double(), target=target))
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert all(g.isfinite().all() for g in found.values())
    return {**found, "loss": loss.detach()}


def apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The greatest difference of gradients, as a share of the greatest gradient."""
    assert one.keys() == other.keys()
    return float(max((one[k] - other[k]).abs().max() for k in one) / max(g.abs().max() for g in one.values()))


# ---- whatever the batch


@each_checkpoint
@pytest.mark.parametrize(
    "settings", [("model.finetune.layers=all",), ("model.encoder.batch_seconds=1.5", "model.head.pool=attentive")]
)
def test_clip_gets_the_same_logits_alone_and_in_any_batch(make: Make, name: str, settings: tuple[str, ...]) -> None:
    model = livened(make(name, *settings)).double()
    clips = noise()
    alone = torch.cat([logits_of(model, [clip]) for clip in clips])
    for size in (3, 8):
        together = [logits_of(model, clips[i : i + size], extra=501) for i in range(0, len(clips), size)]
        torch.testing.assert_close(torch.cat(together), alone, atol=LAST_ROUNDING, rtol=0)
    assert (alone - alone[0]).abs().max() > 1e-2, "the clips are told apart"


@pytest.mark.parametrize("most", [1, 7, 20, 64, 100, 1000])
def test_parts_hold_every_clip_once_within_the_limit(most: int) -> None:
    for seed in range(20):
        lengths = torch.randint(1, 30, (12,), generator=torch.Generator().manual_seed(seed))
        parts = list(parts_of(lengths, most))
        assert sorted(torch.cat(parts).tolist()) == list(range(12))
        assert all(len(part) == 1 or len(part) * int(lengths[part].max()) <= most for part in parts)
        # No part could have taken the first clip of the next.
        assert all((len(a) + 1) * int(lengths[a].max()) > most for a, _ in pairwise(parts))


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What goes through encoders, ``(clips, samples)`` a time."""
    seen: list[tuple[int, int]] = []
    for kind in Encoder.__subclasses__():

        def watched(encoder: Any, waveform: Tensor, lengths: Tensor, forward: Any = kind.forward) -> Any:
            seen.append(tuple(waveform.shape))  # type: ignore[arg-type]
            return forward(encoder, waveform, lengths)

        monkeypatch.setattr(kind, "forward", watched)
    return seen


@each_checkpoint
def test_gradients_of_batch_in_parts_equal_whole_batch(make: Make, name: str, heard: list[tuple[int, int]]) -> None:
    settings = ("model.finetune.layers=all", "model.finetune.front_end=true", "model.head.dropout=0")
    clips = noise()
    whole = gradients(make(name, *settings, **calm(name)), batch_of(clips))
    assert len(heard) == 1
    heard.clear()
    parts = gradients(make(name, *settings, "model.encoder.batch_seconds=1.2", **calm(name)), batch_of(clips))
    assert apart(parts, whole) < LAST_ROUNDING  # a part that was left out would be seen at 1e-1
    assert len(heard) >= 6, "in parts, and each again in the backward pass"
    assert all(n == 1 or n * samples <= 1.2 * 16000 for n, samples in heard)
    assert max(samples for _, samples in heard) > 1.2 * 16000, "a clip beyond the limit goes by itself"


@pytest.mark.slow
@each_checkpoint
def test_recomputed_parts_repeat_their_dropout(make: Make, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dropout = {"dropout": 0.3} if name.startswith("whisper") else {"hidden_dropout": 0.3}
    model = make(name, "model.finetune.layers=all", "model.encoder.batch_seconds=1.2", **dropout)
    batch = batch_of(noise())
    again = gradients(model, batch)
    assert apart(gradients(model, batch), again) < LAST_ROUNDING
    assert apart(gradients(model, batch, seed=1), again) > 1e-2
    monkeypatch.setattr(embedding, "checkpoint", lambda compute, *inputs, use_reentrant: compute(*inputs))
    assert apart(gradients(model, batch), again) < LAST_ROUNDING


@each_checkpoint
@pytest.mark.parametrize("trained", ["all", "1"])
def test_gradient_checkpointing_changes_no_gradient(make: Make, name: str, trained: str) -> None:
    settings = (f"model.finetune.layers={trained}", "model.finetune.mask={time_share: 0.2, time_span: 3}")
    batch = batch_of(noise())
    plain = gradients(make(name, *settings), batch)
    assert (
        apart(gradients(make(name, *settings, "model.finetune.gradient_checkpointing=true"), batch), plain)
        < LAST_ROUNDING
    )


def test_gradient_checkpointing_recomputes_layers(make: Make) -> None:
    model = make("whisper 80", "model.finetune.layers=all", "model.finetune.gradient_checkpointing=true")
    runs: list[int] = []
    model.features.encoder.blocks[1].self_attn.register_forward_hook(lambda *_: runs.append(1))
    gradients(model, batch_of(noise()))
    assert len(runs) == 2


# ---- what is trained


def trained_names(name: str, how: str) -> tuple[str, ...]:
    """How the names of what is trained of an encoder start, or what is in them."""
    if how == "none":
        return ()
    if how == "lora":
        return ("lora_",)
    if how == "all":
        return ("net.",)
    if name.startswith("whisper"):
        return ("net.layers.1.", "net.layer_norm.")
    return ("net.encoder.layers.1.", *(("net.encoder.layer_norm.",) if name.endswith("large") else ()))


def untrained_names(name: str, how: str) -> tuple[str, ...]:
    """Of those, what is not trained even so."""
    if how == "all":  # Whisper's positions are sinusoids, which it was pretrained with and without training
        return ("net.conv", "net.embed_positions") if name.startswith("whisper") else ("net.feature_extractor.",)
    return ()


HOW = {
    "none": ("model.finetune.layers=none",),
    "1": ("model.finetune.layers=1",),
    "all": ("model.finetune.layers=all",),
    "lora": (LORA,),
}


@each_checkpoint
@pytest.mark.parametrize("how", HOW)
def test_step_changes_trained_weights_only(make: Make, make_checkpoint: MakeCheckpoint, name: str, how: str) -> None:
    model = make(name, *HOW[how], "model.finetune.lr=0.01")
    _, before = fetch(str(make_checkpoint(name)))
    added = {k: v.clone() for k, v in model.features.encoder.state_dict().items() if "lora_" in k}
    for _ in range(2):  # an adapter's A has no gradient until its B has moved
        step(model, batch_of(noise()))
    after = {k.replace(".base_layer", ""): v for k, v in model.features.encoder.state_dict().items()}
    assert after.keys() == before.keys() | added.keys()
    changed = {k for k, v in after.items() if not torch.equal(v, (before | added)[k])}
    yes, no = trained_names(name, how), untrained_names(name, how)
    expected = {k for k in after if any(part in k for part in yes) and not k.startswith(no or ("nothing",))}
    # The bias of keys shifts all scores of a frame alike, and has no gradient but rounding.
    assert changed - {k for k in changed if "k_proj.bias" in k} == {k for k in expected if "k_proj.bias" not in k}


def step(model: Pretrained, batch: Batch) -> None:
    optimizer = torch.optim.AdamW(model.parameter_groups(0.01), 0.01, weight_decay=0.1)
    training_of(model).training_step(batch).backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("name", ["wav2vec2 base", "wav2vec2 large", "whisper 80"])
def test_front_end_is_trained_on_request(make: Make, name: str) -> None:
    model = make(name, "model.finetune.layers=all", "model.finetune.front_end=true")
    before = {k: v.clone() for k, v in model.features.encoder.feature_extractor.state_dict().items()}
    step(model, batch_of(noise()))
    assert len(before) >= 4
    assert all(not torch.equal(v, before[k]) for k, v in model.features.encoder.feature_extractor.state_dict().items())


@each_checkpoint
def test_frozen_parts_have_no_dropout(make: Make, name: str) -> None:
    """Its features are those that evaluation gives, and that a cache would hold."""
    whisper = name.startswith("whisper")
    noisy = {"dropout": 0.5, "attention_dropout": 0.5} | ({} if whisper else {"hidden_dropout": 0.5})
    model, batch = make(name, **noisy).double(), batch_of(noise())
    waveform = batch.waveform.double()
    torch.manual_seed(0)
    training = model.features(waveform, batch.lengths)[0]
    with model.evaluating():
        torch.testing.assert_close(training, model.features(waveform, batch.lengths)[0], **EXACT)
    # Below layers that are trained, too: what enters the first of them.
    model = make(name, "model.finetune.layers=1", "model.encoder.layer=mix", **noisy).double()
    width = model.features.size
    lower = model.features(waveform, batch.lengths)[0][:, : 2 * width]
    torch.testing.assert_close(lower, training[:, : 2 * width], **EXACT)
    everything = make(name, "model.finetune.layers=all", **noisy).double()
    assert (everything.features(waveform, batch.lengths)[0] - training).abs().max() > 1e-2


@each_checkpoint
@pytest.mark.parametrize("how", [*HOW, "front end", "cut"])
def test_every_trained_parameter_is_in_one_group_with_its_layers_rate(make: Make, name: str, how: str) -> None:
    more = {
        "front end": ("model.finetune.layers=all", "model.finetune.front_end=true"),
        "cut": ("model.finetune.layers=all", "model.encoder.layer=1"),
    }
    rates = ("model.finetune.lr=0.008", "model.finetune.layer_decay=0.5", "optimizer.lr=0.1")
    model = make(name, *(HOW | more)[how], *rates)
    groups = model.parameter_groups(0.1)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    assert len(set(grouped)) == len(grouped)
    assert all(group["params"] for group in groups)
    rate = {id(p): group.get("lr", 0.1) for group in groups for p in group["params"]}
    encoder = model.features.encoder
    inside = {id(p) for p in encoder.parameters()}
    assert all((id(p) in inside) == (rate[id(p)] != 0.1) for p in model.parameters() if id(p) in rate)
    top = len(encoder.blocks)
    for key, parameter in encoder.named_parameters():
        if id(parameter) not in rate:
            continue
        parts = key.split(".")
        if "layers" in parts and "pos_conv_embed" not in parts:  # data2vec has layers of positions, too
            expected = 0.008 * 0.5 ** (top - 1 - int(parts[parts.index("layers") + 1]))
        elif "layer_norm" in parts and parts[-3] in (("net",) if name.startswith("whisper") else ("encoder",)):
            above = name.startswith("whisper") or name.endswith("large")
            expected = 0.008 if above else 0.008 * 0.5**top
        else:
            expected = 0.008 * 0.5**top
        assert rate[id(parameter)] == pytest.approx(expected), key
    vectors = {id(p): "weight_decay" in group for group in groups for p in group["params"]}
    assert all(vectors[id(p)] == (p.ndim <= 1) for p in model.parameters() if id(p) in vectors)
    assert groups[0]["params"][0] is model.heads[0].classify[1].weight


def test_all_groups_follow_one_schedule(make: Make) -> None:
    model = make("hubert base", "model.finetune.layers=all", "model.finetune.layer_decay=0.5")
    training = training_of(model, "schedule.warmup=0.5")

    class Trainer:
        estimated_stepping_batches = 10

    training._trainer = Trainer()  # type: ignore[assignment]
    made = training.configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    peaks = [group["initial_lr"] for group in optimizer.param_groups]
    assert peaks[0] == training.optimizer["lr"]
    assert len(set(peaks)) == 4, "the head, two layers, and what is below them"
    for _ in range(10):
        shares = [group["lr"] / peak for group, peak in zip(optimizer.param_groups, peaks, strict=True)]
        assert max(shares) == pytest.approx(min(shares))
        optimizer.step()
        schedule.step()
    assert max(shares) < 0.1


@each_checkpoint
def test_merging_keeps_predictions_and_removes_adapters(make: Make, name: str) -> None:
    model = livened(make(name, LORA)).double()
    before = logits_of(model, noise()).softmax(dim=1)
    bare = logits_of(livened(make(name)), noise()).softmax(dim=1)
    assert (before - bare).abs().max() > 1e-4, "the adapters have an effect"
    model.merge()
    assert not any("lora" in key for key in model.state_dict())
    torch.testing.assert_close(logits_of(model, noise()).softmax(dim=1), before, atol=LAST_ROUNDING, rtol=0)


@pytest.mark.slow
def test_compiled_layers_give_the_same_logits(make: Make) -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, RuntimeError):
        pytest.skip("torch finds no C++ compiler")
    plain, compiled = (
        livened(make("wavlm base", "model.encoder.layer=1", f"model.finetune.compile={x}")).double()
        for x in ("false", "true")
    )
    torch._dynamo.reset()
    clips = noise()[:2]
    torch.testing.assert_close(logits_of(compiled, clips), logits_of(plain, clips), atol=LAST_ROUNDING, rtol=0)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0, "something was compiled"
    assert not compiled.hparams["finetune"]["compile"], "not where it is only used"


# ---- what is refused


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.encoder.layer=99"], "model.encoder.layer must be mix, or from 0 to 2; got 99"),
        (["model.encoder.layer=-1"], "model.encoder.layer must be mix"),
        (["model.encoder.layer=true"], "model.encoder.layer must be mix"),
        (
            ["model.finetune.layers=99"],
            "model.finetune.layers must be none, all, or a number of top layers up to 2; got 99",
        ),
        (["model.finetune.layers=true"], "model.finetune.layers must be none, all"),
        (["model.finetune.layers=some"], "got 'some'"),
        (["model.head.pool=x"], "model.head.pool must be one of mean, statistics, attentive; got 'x'"),
        (["features=logmel"], "brings its own. Set features=own"),
        (["audio.sample_rate=8000"], "audio.sample_rate must be 16000 for this encoder; got 8000"),
        (["model.finetune.front_end=true"], "front_end must be false unless"),
        (
            ["model.finetune.front_end=true", "model.finetune.layers=1"],
            "front_end must be false unless",
        ),
        (
            ["model.encoder.layer=0", "model.finetune.layers=1"],
            "layer must not be 0 where top layers are trained",
        ),
        (["model.encoder.layer=0", LORA], "layer must not be 0 where top layers are trained"),
        (["model.finetune.layers=all", LORA], "layers must be none with model.finetune.lora.*got 'all'"),
        (
            ["normalise=speaker", "model.finetune.layers=1"],
            "normalise must not be speaker where the encoder is trained",
        ),
        (["normalise=speaker", LORA], "normalise must not be speaker where the encoder is trained"),
        (["normalise=utterance"], r"one frame per clip.*model.head.pool=attentive"),
        (["model.finetune.lora={rank: 2, alpha: 4, targets: [nothing]}"], "got nothing, which is no linear layer"),
        (["model.encoder.attention=flash"], "attention must be auto"),
        (["model.encoder.checkpoint=/nowhere"], "must be a folder .* got /nowhere"),
        (["model.depth=3"], "depth"),
    ],
)
def test_invalid_settings_are_refused(make: Make, overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make("whisper 80", *[o if "depth" not in o else f"+{o}" for o in overrides])


@pytest.mark.parametrize(
    "arguments", [["model=pretrained"], pytest.param(["-m", "model=pretrained", "seed=0,1"], marks=pytest.mark.slow)]
)
def test_command_without_checkpoint_names_the_missing_setting(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ser.train", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Missing required setting: model.encoder.checkpoint" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()
