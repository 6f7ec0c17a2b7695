"""Low-rank adaptation of a pretrained encoder with `peft`: inject adapters, and fold them into the weights.

Source: Hu et al., 2021, https://arxiv.org/abs/2106.09685.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from ser.errors import ConfigError


def default_targets(family: str) -> tuple[str, ...]:
    """Return the linear layers to adapt in a transformers ``model_type``.

    Queries and values, as Hu et al. do. WavLM's attention takes the weights of its projections without calling them, so
    that an adapter there has no effect; its feed-forward layers are adapted instead, as in PEFT-SER (Feng and
    Narayanan, 2023, https://arxiv.org/abs/2306.05350).

    Example:
        >>> default_targets("wavlm")
        ('intermediate_dense', 'output_dense')
    """
    return ("intermediate_dense", "output_dense") if family == "wavlm" else ("q_proj", "v_proj")


def add_lora(
    module: nn.Module, rank: int, alpha: float, dropout: float = 0.0, targets: Sequence[str] = ("q_proj", "v_proj")
) -> None:
    """Add an adapter, ``alpha / rank * B @ A``, to linear layers of ``module``, and freeze everything else in it.

    ``B`` starts at zero: the output is as before until the first step of training. ``dropout`` is on the input of an adapter;
    ``targets`` are the last names of the layers to adapt.

    Raises:
        ConfigError: If peft is not installed, there is nothing to train, a target is not a linear layer of ``module``,
            or an adapter would have no effect there.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ConfigError("LoRA needs the package peft. Run pip install 'ser[pretrained]'.") from error
    if rank < 1 or not targets:
        raise ConfigError(
            f"model.finetune.lora must have rank at least 1 and at least 1 target; got {rank} and {len(targets)}."
        )
    _check_targets(module, targets)
    scale: Any = alpha  # peft asks for an integer, and divides any number by the rank
    settings = LoraConfig(r=rank, lora_alpha=scale, lora_dropout=dropout, target_modules=list(targets))
    inject_adapter_in_model(settings, module)
    del module.peft_config  # only peft itself uses it


def has_lora(module: nn.Module) -> bool:
    """Return whether ``module`` has adapters."""
    return any(hasattr(layer, "lora_A") for layer in module.modules())


def merge_lora(module: nn.Module) -> None:
    """Fold the adapters into the weights, and restore plain linear layers with the keys from before `add_lora`.

    Frozen weights stay frozen.
    """
    if not has_lora(module):
        return
    from peft.tuners.lora import Linear

    for name, layer in list(module.named_modules()):
        if isinstance(layer, Linear):
            layer.merge()
            module.set_submodule(name, layer.get_base_layer())


def _check_targets(module: nn.Module, targets: Sequence[str]) -> None:
    """Refuse a target that is not a linear layer, or is not called wherever it occurs."""
    parents = {(name, type(parent)) for parent, name in _linear_layers(module)}
    source = {kind: inspect.getsource(kind) for kind in {kind for _, kind in parents}}
    # F.multi_head_attention_forward and similar functions take self.<name>.weight, which bypasses an adapter.
    bypassed = {name: kind.__name__ for name, kind in parents if f"self.{name}.weight" in source[kind]}
    usable = sorted({name for name, _ in parents} - set(bypassed))
    for target in targets:
        if target in bypassed:
            raise ConfigError(
                f"model.finetune.lora.targets must be among {', '.join(usable)}; got {target}, where an adapter would have "
                f"no effect: {bypassed[target]} uses the weight without calling the layer."
            )
        if target not in usable:
            raise ConfigError(
                f"model.finetune.lora.targets must be among {', '.join(usable)}; got {target}, which is no linear layer."
            )


def _linear_layers(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Yield the parent module of every linear layer, and the layer's name in it."""
    for parent in module.modules():
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Linear):
                yield parent, name
