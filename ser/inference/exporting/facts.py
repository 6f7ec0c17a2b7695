"""What a runner needs to know of an exported model, as texts in its file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ser.models.classifier import SpeechClassifier


def facts_of(model: SpeechClassifier, checkpoint: Path, further: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts of a model, those that are no plain text as JSON.

    Args:
        model: The model.
        checkpoint: Its file.
        further: Facts that the checkpoint does not hold.
    """
    facts: dict[str, Any] = {
        "model": type(model).__name__,
        "checkpoint_sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        "labels": list(model.classes),
        "numeric": model.numeric,
        "sample_rate": model.audio.sample_rate,
        "audio": asdict(model.audio),
        "stamps": list(model.stamps),
        "trained_on": list(model.trained_on),
        "provenance": model.provenance(),
        **({} if model.calibration is None else asdict(model.calibration)),
        **({} if model.familiar is None else {"familiar": model.familiar.text()}),
        **further,
    }
    return {
        name: fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False) for name, fact in facts.items()
    }
