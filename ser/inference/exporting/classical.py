"""A classifier of scikit-learn behind the features of a program, as one graph of ONNX, by skl2onnx.

Source: https://onnx.ai/sklearn-onnx (Apache-2.0).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.baselines.classical import Classical
from ser.baselines.fitted import Fitted
from ser.errors import ConfigError, RunError
from ser.evaluation.calibration import FLOOR
from ser.inference.exporting.program import OPSET, in_onnx, program_of, refusing, temperature_of, traced

ML_OPSET = 3
"""Of the operators for classical models: the first whose trees have thresholds in double precision."""


class Closing(nn.Module):
    """From what a classifier says of the classes that it knows to probabilities of all, as `ser.baselines.fitted.Fitted`.

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


def classical_in_onnx(model: Classical) -> Any:
    """Return a classical model as a ``ModelProto`` of ONNX.

    Raises:
        ConfigError: If its features or its classifier cannot be exported, or skl2onnx is not installed.
        RunError: If it is not fitted.
    """
    if model.fitted is None:
        raise RunError(f"{model.name} must be fitted before it is exported. Load a finished run.")
    if (present := model.fitted.present) is None:
        raise ConfigError(f"labels must be classes to export model={model.name}; got numbers. Export a net, such as cnn.")
    vector = program_of(model)
    with refusing(model):
        classifier = _pipeline_in_onnx(model.fitted, model.n_features)
        found = torch.rand(2, int(present.sum()), dtype=_type_of(classifier))
        closing = traced(Closing(model.fitted, present, temperature_of(model)), found=found)
        return _joined(
            in_onnx(vector, ["vector", "embedding"]), classifier, in_onnx(closing, ["probabilities", "logits"])
        )


def _pipeline_in_onnx(fitted: Fitted, n_features: int) -> Any:
    try:
        from skl2onnx import to_onnx  # late: an extra
        from skl2onnx.common.data_types import DoubleTensorType
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The export of classical models needs the package {error.name}. Run pip install 'ser[onnx]'."
        ) from error
    from sklearn.pipeline import Pipeline

    steps = [step for step in fitted.pipeline.steps if step[1] != "passthrough"]  # which skl2onnx does not know
    classifier = steps[-1][1]
    scores = {} if hasattr(classifier, "predict_proba") else {"raw_scores": True}
    without = {"zipmap": False}  # a matrix in place of a list of dictionaries

    def converted(options: dict[str, bool]) -> Any:
        types, opsets = [("vector", DoubleTensorType([None, n_features]))], {"": OPSET, "ai.onnx.ml": ML_OPSET}
        return to_onnx(Pipeline(steps), initial_types=types, options={id(classifier): options}, target_opset=opsets)

    try:
        return converted(scores | without)
    except NameError:  # of an option that a classifier does not have: LinearSVC always gives a matrix
        return converted(scores)


def _type_of(classifier: Any) -> torch.dtype:
    """Return the type of what a classifier says of the classes."""
    from onnx import TensorProto

    double: bool = classifier.graph.output[1].type.tensor_type.elem_type == TensorProto.DOUBLE
    return torch.float64 if double else torch.float32


def _joined(features: Any, classifier: Any, closing: Any) -> Any:
    """Join the graphs one after the other; of the classifier, the label, its first output, is left out."""
    from onnx import compose

    classifier = compose.add_prefix(classifier, "classifier_")
    closing = compose.add_prefix(closing, "closing_", rename_outputs=False)
    for part in (classifier, closing):
        part.ir_version = features.ir_version
    scores = classifier.graph.output[1].name
    joined = compose.merge_models(
        features, classifier, [("vector", classifier.graph.input[0].name)], outputs=[scores, "embedding"]
    )
    return compose.merge_models(
        joined, closing, [(scores, closing.graph.input[0].name)], outputs=["probabilities", "logits", "embedding"]
    )
