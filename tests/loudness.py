"""A model in ONNX that is written by hand: its answers follow from the energy of a clip."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

FACTS = {
    "model": "Loudness",
    "checkpoint_sha256": "0" * 64,
    "labels": '["loud", "soft"]',
    "numeric": "false",
    "audio": json.dumps({"sample_rate": 16000, "trim_db": None, "min_ms": 100.0}),
    "stamps": '["synthetic speech"]',
    "temperature": "2.0",
    "threshold": "0.9",
    "level": "0.9",
    "curve": "[[0.0, 1.0, 0.4], [0.7, 0.5, 0.1]]",
}


def save_loudness(path: Path, weights: Sequence[float] = (1.0, -1.0), **facts: str | None) -> Path:
    """Write a net whose logits are the sum of the squared samples, divided by a hundred, times the weights."""
    import onnx  # late: an extra

    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    constants = {"one": np.array([1]), "share": np.float32(0.01), "weights": np.array([weights], dtype=np.float32)}
    nodes = [
        helper.make_node("Mul", ["waveform", "waveform"], ["squares"]),
        helper.make_node("ReduceSum", ["squares", "one"], ["energy"]),
        helper.make_node("Mul", ["energy", "share"], ["embedding"]),
        helper.make_node("Mul", ["embedding", "weights"], ["logits"]),
        helper.make_node("Identity", ["logits"], ["values"]),
    ]
    graph = helper.make_graph(
        nodes,
        "loudness",
        [
            helper.make_tensor_value_info("waveform", floats, ["batch", "sample"]),
            helper.make_tensor_value_info("lengths", onnx.TensorProto.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info(name, floats, None) for name in ("logits", "values", "embedding")],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(made, {name: fact for name, fact in (FACTS | facts).items() if fact is not None})
    onnx.save(made, str(path))
    return path
