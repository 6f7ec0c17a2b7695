"""Tiny random classifiers of transformers, as their authors would save them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from tests.checkpoints import MADE, preprocessor_of, randomise

Save = Callable[..., Path]


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Save:
    """``classifier(["angry", "sad"])``: the folder of a classifier with these labels."""
    transformers = pytest.importorskip("transformers")
    made: dict[tuple[str, ...], Path] = {}

    def save(labels: Sequence[str], name: str = "wav2vec2 base") -> Path:
        key = (name, *labels)
        if key not in made:
            folder = tmp_path_factory.mktemp("classifier") / "somebody-emotions"
            torch.manual_seed(0)
            family, usual = MADE[name]
            config = transformers.AutoConfig.for_model(family, **usual)
            config.id2label, config.label2id = dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}
            net = transformers.AutoModelForAudioClassification.from_config(config)
            randomise(net)
            net.save_pretrained(folder)
            about = {**preprocessor_of(name), "feature_extractor_type": "Wav2Vec2FeatureExtractor"}
            (folder / "preprocessor_config.json").write_text(json.dumps(about))
            made[key] = folder
        return made[key]

    return save
