"""Weights of an exported net as 8-bit integers: a smaller file, and other answers.

Source: dynamic quantisation of onnxruntime, https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html.
"""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ser.errors import ConfigError

KINDS = ("Conv", "MatMul")
"""Operators whose weights become integers, as their inputs do when the model runs. Those of an LSTM stay."""
SCOPES = "pkg.torch.onnx.name_scopes"
"""Where torch notes the modules that an operator comes from."""


def quantise(path: Path, net: nn.Module) -> None:
    """Write a file again with the weights of its net as integers of 8 bits. Features keep their precision.

    Args:
        path: A file in ONNX.
        net: The parts that it was exported from; see `ser.inference.exporting.program.exportable`.

    Raises:
        ConfigError: If nothing in it can be quantised.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole = onnx.load(path)
    facts = {fact.key: fact.value for fact in whole.metadata_props}
    inside = {f"model.{name}": part for name, part in net.named_modules()}
    nodes = [node.name for node in whole.graph.node if node.op_type in KINDS and _has_weights(node, inside)]
    if not nodes:
        raise ConfigError(f"quantise must be null for {type(net).__name__}: no layer of it can be integers; got int8.")
    # Some processors have no operators of signed weights.
    quantize_dynamic(whole, path, nodes_to_quantize=nodes, weight_type=QuantType.QUInt8)
    made = onnx.load(path)
    onnx.helper.set_model_props(made, {**facts, "quantise": "int8"})
    onnx.save(made, str(path))


def _has_weights(node: Any, inside: Mapping[str, nn.Module]) -> bool:
    """Whether an operator belongs to a module with parameters: features have none."""
    scopes: list[str] = next((ast.literal_eval(fact.value) for fact in node.metadata_props if fact.key == SCOPES), [])
    modules = [inside[scope] for scope in scopes if scope in inside]
    return bool(modules) and next(modules[-1].parameters(), None) is not None
