"""`LayerAverage`: the mean of one classifier a layer, stored and exported like any other estimator."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ser.baselines.fitted import Fitted, fitted_from
from ser.baselines.layer_average import LayerAverage
from ser.errors import ConfigError
from ser.inference.exporting.layer_average import register_layer_average
from ser.training.experiment import train
from tests.conftest import Settings

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 12))  # three layers of four features
Y = (X[:, 5] + 0.5 * RANDOM.normal(size=120) > 0).astype(int) + (X[:, 10] > 1)


def test_probabilities_are_the_mean_of_those_of_the_layers_that_are_used() -> None:
    weights = RANDOM.uniform(0.5, 2, size=120)
    found = LayerAverage(n_layers=3, first=1, C=0.5).fit(X, Y, weights).predict_proba(X)
    each = [LogisticRegression(C=0.5, max_iter=2000).fit(X[:, at : at + 4], Y, weights) for at in (4, 8)]
    expected = (each[0].predict_proba(X[:, 4:8]) + each[1].predict_proba(X[:, 8:])) / 2
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.abs(found - each[0].predict_proba(X[:, 4:8])).max() > 0.01


@pytest.mark.parametrize(("n_layers", "words"), [(5, "which are not 5 layers"), (None, "features must be all layers")])
def test_vectors_without_such_layers_are_refused(n_layers: int | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LayerAverage(n_layers=n_layers).fit(X, Y)


@pytest.mark.parametrize("first", [3, -1, 1.0])
def test_first_layer_must_exist(first: int) -> None:
    with pytest.raises(ConfigError, match=r"model\.estimator\.first must be a layer, 0 to 2; got"):
        LayerAverage(n_layers=3, first=first).fit(X, Y)


def test_checkpoint_holds_it_without_code() -> None:
    fitted = Fitted(make_pipeline(StandardScaler(), LayerAverage(n_layers=3)).fit(X, Y), np.ones(3, dtype=bool))
    np.testing.assert_array_equal(fitted_from(fitted.state()).outputs(X), fitted.outputs(X))


def test_features_without_layers_are_refused(settings: Settings, tmp_path: Path) -> None:
    config = settings("model=layer_average", "features=mfcc", f"paths.run={tmp_path / 'run'}")
    with pytest.raises(
        ConfigError, match=r"must be all layers of an encoder, one vector a clip, for LayerAverage; got MFCC"
    ):
        train(config, terminal=False)


def test_onnx_has_its_probabilities() -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    from skl2onnx.common.data_types import DoubleTensorType

    register_layer_average()
    fitted = make_pipeline(StandardScaler(), LayerAverage(n_layers=3, first=1)).fit(X, Y)
    graph = skl2onnx.to_onnx(fitted, initial_types=[("vector", DoubleTensorType([None, 12]))])
    (found,) = runtime.InferenceSession(graph.SerializeToString()).run(None, {"vector": X})
    np.testing.assert_allclose(found, fitted.predict_proba(X), atol=1e-12)
