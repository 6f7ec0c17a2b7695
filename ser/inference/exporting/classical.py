"""A classifier or regressor of scikit-learn behind the features of a program, as one graph of ONNX, by skl2onnx.

Source: https://onnx.ai/sklearn-onnx (Apache-2.0).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from typing_extensions import override

from ser.baselines.classical import Classical
from ser.baselines.fitted import Fitted
from ser.errors import ConfigError, RunError
from ser.evaluation.calibration import FLOOR
from ser.inference.exporting.layer_average import register_layer_average
from ser.inference.exporting.program import OPSET, in_onnx, program_of, refusing, temperature_of, traced

ML_OPSET = 3
"""Of the operators for classical models: the first whose trees have thresholds in double precision."""


class Probabilities(nn.Module):
    """From what a classifier says of the classes that it knows to all classes, as `ser.baselines.fitted.Fitted.outputs`.

    Shapes:
        - found: ``(batch, known)``, probabilities or, of a classifier that has none, its decision function
        - returns: ``(batch, class)`` float32 probabilities by the model's temperature; ``(batch, class)`` logits
    """

    def __init__(self, fitted: Fitted, present: np.ndarray, temperature: float) -> None:
        super().__init__()
        known = int(present.sum())
        at = np.where(present, present.cumsum() - 1, known)  # the last place holds the floor
        self.at = nn.Buffer(torch.from_numpy(at.astype(np.int64)))
        self.decides = not hasattr(fitted.pipeline, "predict_proba")
        self.two, self.fitted_temperature, self.temperature = known == 2, fitted.temperature, temperature

    @override
    def forward(self, found: Tensor) -> tuple[Tensor, Tensor]:
        values = found.double()
        if self.decides:
            values = torch.cat([-values[:, -1:], values[:, -1:]], dim=1) if self.two else values
            values = (values / self.fitted_temperature).softmax(dim=1)
        logs = nn.functional.pad(values.clamp(min=FLOOR), (0, 1), value=FLOOR).log()[:, self.at]
        return (logs / self.temperature).softmax(dim=1).float(), logs.float()


class Numbers(nn.Module):
    """From the standardised numbers of a regressor to numbers in their unit.

    Shapes:
        - found: ``(batch, number)``
        - returns: ``(batch, number)`` float32 in their unit; ``(batch, number)`` standardised
    """

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.scale = nn.Buffer(scale)  # (2, number)

    @override
    def forward(self, found: Tensor) -> tuple[Tensor, Tensor]:
        return (self.scale[0] + self.scale[1] * found.double()).float(), found.float()


def classical_in_onnx(model: Classical, outputs: list[str]) -> Any:
    """Return a classical model as a ``ModelProto`` of ONNX, whose outputs are its answers, its logits and its vector.

    Raises:
        ConfigError: If its features or its classifier cannot be exported, or skl2onnx is not installed.
        RunError: If it is not fitted.
    """
    if model.fitted is None:
        raise RunError(f"{model.name} must be fitted before it is exported. Load a finished run.")
    answers, logits, vector = outputs
    features = program_of(model)
    with refusing(model):
        estimator = _pipeline_in_onnx(model.fitted, model.n_features)
        return _joined(
            in_onnx(features, ["double", vector]),
            estimator,
            in_onnx(_closing(model, model.fitted, _type_of(estimator)), [answers, logits]),
        )


def _closing(model: Classical, fitted: Fitted, dtype: torch.dtype) -> ExportedProgram:
    if model.scale is not None:
        return traced(Numbers(model.scale), {"found": torch.rand(2, len(model.classes), dtype=dtype)}, varying=1)
    assert fitted.present is not None
    found = torch.rand(2, int(fitted.present.sum()), dtype=dtype)
    return traced(Probabilities(fitted, fitted.present, temperature_of(model)), {"found": found})


def _pipeline_in_onnx(fitted: Fitted, n_features: int) -> Any:
    try:
        from skl2onnx import to_onnx  # late: an extra
        from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The export of classical models needs the package {error.name}. Run pip install 'ser[export]'."
        ) from error
    from sklearn.pipeline import Pipeline

    register_layer_average()
    steps = [step for step in fitted.pipeline.steps if step[1] != "passthrough"]  # which skl2onnx does not know
    estimator = steps[-1][1]
    kind = FloatTensorType if fitted.present is None else DoubleTensorType  # onnxruntime has few regressors in double
    types, opsets = [("vector", kind([None, n_features]))], {"": OPSET, "ai.onnx.ml": ML_OPSET}

    def converted(options: dict[str, bool]) -> Any:
        return to_onnx(Pipeline(steps), initial_types=types, options={id(estimator): options}, target_opset=opsets)

    if fitted.present is None:
        return converted({})
    scores = {} if hasattr(estimator, "predict_proba") else {"raw_scores": True}
    try:
        return converted({**scores, "zipmap": False})  # a matrix in place of a list of dictionaries
    except NameError:  # of an option that a classifier does not have: LinearSVC always gives a matrix
        return converted(scores)


def _type_of(estimator: Any) -> torch.dtype:
    """Return the type of what an estimator says, which is the last of its outputs."""
    from onnx import TensorProto

    double: bool = estimator.graph.output[-1].type.tensor_type.elem_type == TensorProto.DOUBLE
    return torch.float64 if double else torch.float32


def _joined(features: Any, estimator: Any, closing: Any) -> Any:
    """Join the graphs one after the other; of a classifier, the label, its first output, is left out."""
    from onnx import compose

    estimator = compose.add_prefix(estimator, "estimator_")
    closing = compose.add_prefix(closing, "closing_", rename_outputs=False)
    for part in (estimator, closing):
        part.ir_version = features.ir_version
    wanted, found = estimator.graph.input[0], estimator.graph.output[-1].name
    vectors = {output.type.tensor_type.elem_type: output.name for output in features.graph.output}
    given, vector = vectors[wanted.type.tensor_type.elem_type], features.graph.output[-1].name
    known = compose.merge_models(features, estimator, [(given, wanted.name)], outputs=[found, vector])
    outputs = [*(output.name for output in closing.graph.output), vector]
    return compose.merge_models(known, closing, [(found, closing.graph.input[0].name)], outputs=outputs)
