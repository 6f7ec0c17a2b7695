"""Adapters train alone, take part wherever they may be put, and fold into the weights without a trace."""

import contextlib
import copy
import functools
import sys

import pytest
import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.models.encoders.lora import add_lora, default_targets, has_lora, merge_lora
from tests.numerics import EXACT

transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

FAMILIES = ["whisper", "wav2vec2", "hubert", "wavlm", "data2vec-audio"]


def encoder_of(family: str) -> nn.Module:
    """A tiny encoder with random weights, always the same, in evaluation mode."""
    return copy.deepcopy(made(family))


@functools.cache
def made(family: str) -> nn.Module:
    """See `encoder_of`; in a container that is not of transformers."""
    torch.manual_seed(0)
    if family == "whisper":
        width = {"d_model": 16, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "encoder_layers": 2}
        config = transformers.WhisperConfig(**width, num_mel_bins=8, max_source_positions=20)
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return nn.ModuleDict({"encoder": WhisperEncoder(config)}).eval()
    width = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "num_hidden_layers": 2}
    strides = {"conv_dim": (8, 8), "conv_kernel": (10, 4), "conv_stride": (5, 4), "num_feat_extract_layers": 2}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    config = transformers.AutoConfig.for_model(family, **width, **strides, **positions)
    return nn.ModuleDict({"encoder": transformers.AutoModel.from_config(config)}).eval()


def output(module: nn.Module) -> Tensor:
    """The last hidden states of noise: ``(batch, frame, width)``."""
    generator = torch.Generator().manual_seed(1)
    encoder = module["encoder"]  # type: ignore[index]
    whisper = encoder.config.model_type == "whisper"
    noise = torch.randn((2, 8, 40) if whisper else (2, 800), generator=generator)
    result: Tensor = encoder(noise.to(next(module.parameters()).dtype)).last_hidden_state
    return result


def adapted(family: str, targets: tuple[str, ...] | None = None) -> nn.Module:
    """An encoder as in the middle of a training: the adapters have an effect."""
    module = encoder_of(family)
    add_lora(module, rank=3, alpha=4.5, targets=targets or default_targets(family))
    torch.manual_seed(2)
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.2)
    return module


def without_gradient(module: nn.Module) -> list[str]:
    """Adapter parameters that training would not move."""
    projection = torch.randn(16, generator=torch.Generator().manual_seed(3))
    (output(module) @ projection).square().sum().backward()
    lora = {name: parameter for name, parameter in module.named_parameters() if "lora_" in name}
    return [name for name, parameter in lora.items() if parameter.grad is None or not parameter.grad.any()]


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_do_not_change_the_output_before_training(family: str) -> None:
    module = encoder_of(family)
    before = output(encoder_of(family).requires_grad_(False))  # frozen: WavLM's attention rounds by whether it is
    add_lora(module, rank=3, alpha=4.5, targets=default_targets(family))
    assert torch.equal(output(module), before)
    assert not torch.allclose(output(adapted(family)), before, atol=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_exactly_the_adapters_are_trained(family: str) -> None:
    module = adapted(family)
    assert {n for n, p in module.named_parameters() if p.requires_grad} == {
        n for n, _ in module.named_parameters() if "lora_" in n
    }
    assert without_gradient(module) == []
    before = copy.deepcopy(dict(module.named_parameters()))
    torch.optim.AdamW((p for p in module.parameters() if p.requires_grad), lr=0.1).step()
    for name, parameter in module.named_parameters():
        assert torch.equal(parameter, before[name]) == ("lora_" not in name), name


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_adapter_on_any_linear_layer_has_an_effect_or_is_refused(family: str) -> None:
    names = {n.rpartition(".")[2] for n, layer in encoder_of(family).named_modules() if isinstance(layer, nn.Linear)}
    assert len(names) >= 6
    taken = set()
    for name in names:
        with contextlib.suppress(ConfigError):
            add_lora(encoder_of(family), 1, 1.0, targets=[name])
            taken.add(name)
    assert without_gradient(adapted(family, tuple(taken))) == []
    assert names - taken <= ({"q_proj", "k_proj", "v_proj", "out_proj"} if family == "wavlm" else set())


class Bypass(nn.Module):
    """Takes the weight of its projection as WavLM's attention does."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.out = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, frames: Tensor) -> Tensor:
        result: Tensor = self.out(nn.functional.linear(frames, self.q_proj.weight))
        return result


def test_layer_whose_weight_is_used_without_a_call_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"among out; got q_proj, .* Bypass uses the weight"):
        add_lora(nn.Sequential(Bypass()), 2, 2.0, targets=["q_proj"])
    add_lora(nn.Sequential(Bypass()), 2, 2.0, targets=["out"])


@pytest.mark.parametrize("family", FAMILIES)
def test_merging_keeps_the_output_and_restores_plain_layers(family: str) -> None:
    plain, module = encoder_of(family).double(), adapted(family).double()
    unmerged = output(module)
    assert has_lora(module)
    merge_lora(module)
    assert not has_lora(module)
    torch.testing.assert_close(output(module), unmerged, **EXACT)
    assert list(module.state_dict()) == list(plain.state_dict())
    assert {name: str(layer) for name, layer in module.named_modules()} == {
        name: str(layer) for name, layer in plain.named_modules()
    }
    plain.load_state_dict(module.state_dict())
    torch.testing.assert_close(output(plain.requires_grad_(False)), output(module), **EXACT)


def test_merging_adds_the_scaled_product_to_the_weight() -> None:
    plain, module = nn.Sequential(nn.Linear(5, 7)).double(), nn.Sequential(nn.Linear(5, 7)).double()
    module.load_state_dict(plain.state_dict())
    add_lora(module, rank=2, alpha=3.0, targets=["0"])
    a, b = (module.state_dict()[f"0.lora_{x}.default.weight"] for x in "AB")
    b.normal_()
    product = 3.0 / 2 * b @ a
    merge_lora(module)
    torch.testing.assert_close(module[0].weight, plain[0].weight + product, atol=1e-12, rtol=0)


def test_merging_without_adapters_changes_nothing() -> None:
    module = encoder_of("whisper")
    before = output(module)
    merge_lora(module)
    assert torch.equal(output(module), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_adapter_state_loads_into_a_new_encoder(family: str) -> None:
    module, fresh = adapted(family), encoder_of(family)
    nn.init.normal_(next(fresh.parameters()))
    add_lora(fresh, rank=3, alpha=4.5, targets=default_targets(family))
    fresh.load_state_dict(module.state_dict())
    assert torch.equal(output(fresh), output(module))


def test_dropout_applies_in_training_only() -> None:
    module = nn.Sequential(nn.Linear(50, 50))
    add_lora(module, rank=2, alpha=2.0, dropout=0.5, targets=["0"])
    nn.init.normal_(module.state_dict()["0.lora_B.default.weight"])
    frames = torch.randn(1, 50)
    assert torch.equal(module.eval()(frames), module(frames))
    assert not torch.equal(module.train()(frames), module(frames))


@pytest.mark.parametrize(
    ("rank", "targets", "says"),
    [
        (
            2,
            ["q_proj", "query"],
            "among fc1, fc2, k_proj, out_proj, q_proj, v_proj; got query, which is no linear layer",
        ),
        (0, ["q_proj"], "at least 1 target; got 0 and 1"),
        (2, [], "at least 1 target; got 2 and 0"),
    ],
)
def test_settings_that_train_nothing_are_refused(rank: int, targets: list[str], says: str) -> None:
    module = encoder_of("whisper")
    with pytest.raises(ConfigError, match=says):
        add_lora(module, rank, 2.0, targets=targets)
    assert not has_lora(module)


def test_error_without_peft_states_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"pip install 'ser\[pretrained\]'"):
        add_lora(encoder_of("whisper"), 2, 2.0)
