"""`LayerAverage` for skl2onnx: its classifiers on slices of the vector, and the mean of their probabilities.

Source: https://onnx.ai/sklearn-onnx/auto_tutorial/plot_icustom_converter.html
"""

from typing import Any

import numpy as np

from ser.baselines.layer_average import LayerAverage


def register_layer_average() -> None:
    """Tell skl2onnx how `LayerAverage` is written."""
    from skl2onnx import update_registered_converter

    update_registered_converter(LayerAverage, "SerLayerAverage", _shapes, _convert, parser=_parse)


def _parse(scope: Any, model: LayerAverage, inputs: list[Any], custom_parsers: Any = None) -> Any:
    from skl2onnx.common.data_types import DoubleTensorType

    operator = scope.declare_local_operator("SerLayerAverage", model)
    operator.inputs.append(inputs[0])
    operator.outputs.append(scope.declare_local_variable("probabilities", DoubleTensorType()))
    return operator.outputs


def _shapes(operator: Any) -> None:
    clips = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type.shape = [clips, len(operator.raw_operator.classes_)]


def _convert(scope: Any, operator: Any, container: Any) -> None:
    from skl2onnx.algebra.onnx_operator import OnnxSubEstimator
    from skl2onnx.algebra.onnx_ops import OnnxDiv, OnnxSlice, OnnxSum

    model, vector, opset = operator.raw_operator, operator.inputs[0], container.target_opset
    size = vector.type.shape[1] // model.n_layers
    each = []
    for layer, estimator in enumerate(model.estimators_, start=model.first):
        bounds = (np.array([at], dtype=np.int64) for at in (layer * size, (layer + 1) * size, 1))
        part = OnnxSlice(vector, *bounds, op_version=opset)
        each.append(OnnxSubEstimator(estimator, part, op_version=opset, options={"zipmap": False})[1])
    total = OnnxSum(*each, op_version=opset)  # onnxruntime has no Mean in double precision
    count = np.array([len(each)], dtype=np.float64)
    OnnxDiv(total, count, op_version=opset, output_names=[operator.outputs[0]]).add_to(scope, container)
