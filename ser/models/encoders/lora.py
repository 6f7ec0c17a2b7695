"""Low-rank adaptation of a pretrained encoder with `peft`: inject the adapters, fold them into the weights.

Source: Hu et al., 2021, https://arxiv.org/abs/2106.09685.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from ser.errors import ConfigError


def default_targets(family: str) -> tuple[str, ...]:
    """Which linear layers to adapt in a transformers ``model_type``.

    Queries and values, as Hu et al. do. WavLM's attention takes the weights of its projections without calling them, so
    that an adapter there has no effect; its feed-forward layers are adapted instead, as in PEFT-SER (Feng and Narayanan,
    2023, https://arxiv.org/abs/2306.05350).

    Example:
        >>> default_targets("wavlm")
        ('intermediate_dense', 'output_dense')
    """
    return ("intermediate_dense", "output_dense") if family == "wavlm" else ("q_proj", "v_proj")


def add_lora(
    module: nn.Module, rank: int, alpha: float, dropout: float = 0.0, targets: Sequence[str] = ("q_proj", "v_proj")
) -> None:
    """Add an adapter, ``alpha / rank * B @ A``, to linear layers of ``module``, and freeze all else in it.

    ``B`` starts at zero: the output is as before until the first step of training.

    Args:
        module: Changed in place; holds the encoder.
        rank: Of the adapters.
        alpha: Scale of the adapters, before it is divided by ``rank``.
        dropout: Of what enters an adapter, in training.
        targets: Last names of the layers to adapt.

    Raises:
        ConfigError: If peft is not installed, there is nothing to train, a target is not a linear layer of ``module``, or
            an adapter would have no effect there.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ConfigError("LoRA needs peft: pip install 'ser[pretrained]'.") from error
    if rank < 1 or not targets:
        raise ConfigError(f"LoRA of rank {rank} on {len(targets)} targets trains nothing; take at least 1 of each.")
    _check_targets(module, targets)
    scale: Any = alpha  # peft asks for an integer, and divides any number by the rank
    settings = LoraConfig(r=rank, lora_alpha=scale, lora_dropout=dropout, target_modules=list(targets))
    inject_adapter_in_model(settings, module)
    del module.peft_config  # peft's note for itself; the layers hold all that they need


def has_lora(module: nn.Module) -> bool:
    """Whether there are adapters in ``module``."""
    return any(hasattr(layer, "lora_A") for layer in module.modules())


def merge_lora(module: nn.Module) -> None:
    """Fold the adapters into the weights, and leave plain linear layers with the keys from before `add_lora`.

    What was frozen stays so.
    """
    if not has_lora(module):
        return
    from peft.tuners.lora import Linear

    for name, layer in list(module.named_modules()):
        if isinstance(layer, Linear):
            layer.merge()
            module.set_submodule(name, layer.get_base_layer())


def _check_targets(module: nn.Module, targets: Sequence[str]) -> None:
    """Raise a `ConfigError` unless every target is a linear layer that is called wherever it is."""
    parents = {(name, type(parent)) for parent, name in _linear_layers(module)}
    source = {kind: inspect.getsource(kind) for kind in {kind for _, kind in parents}}
    # F.multi_head_attention_forward and the like are given self.<name>.weight, and an adapter is not in that.
    bypassed = {name: kind.__name__ for name, kind in parents if f"self.{name}.weight" in source[kind]}
    usable = sorted({name for name, _ in parents} - set(bypassed))
    for target in targets:
        if target in bypassed:
            raise ConfigError(
                f"LoRA on {target} would have no effect: {bypassed[target]} takes the weight of {target} without calling "
                f"it, so that an adapter is passed by. Layers that can be adapted: {', '.join(usable)}."
            )
        if target not in usable:
            raise ConfigError(
                f"LoRA on {target}: no linear layer has this name. Layers that can be adapted: {', '.join(usable)}."
            )


def _linear_layers(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Every linear layer as the module that it is in, and its name there."""
    for parent in module.modules():
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Linear):
                yield parent, name
