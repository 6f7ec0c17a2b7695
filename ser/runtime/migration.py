"""What files of version 0.1 say otherwise: the one place that knows how runs and checkpoints looked then."""

from collections.abc import Mapping
from typing import Any

MOVED = {
    "ser.labels": "ser.corpora.labels",
    "ser.encoders": "ser.models.encoders",
    "ser.robustness": "ser.rescoring.robustness",
    "ser.adaptation": "ser.rescoring.adaptation",
    "ser.studies.comparison": "ser.comparison.of_sweep",
    "ser.studies": "ser.comparison",
}
"""Where modules and packages are now; the first that fits holds."""


def moved(path: str) -> str:
    """Return the import path of today.

    Example:
        >>> moved("ser.labels.LabelScheme"), moved("ser.models.cnn.CNN")
        ('ser.corpora.labels.LabelScheme', 'ser.models.cnn.CNN')
    """
    for old, new in MOVED.items():
        if path == old or path.startswith(f"{old}."):
            return new + path.removeprefix(old)
    return path


def moved_targets(config: Any) -> Any:
    """Return a configuration with every ``_target_`` in it as it is today."""
    if isinstance(config, Mapping):
        return {key: moved(str(value)) if key == "_target_" else moved_targets(value) for key, value in config.items()}
    return [moved_targets(value) for value in config] if isinstance(config, list) else config


def run_block(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``run`` entry of a metrics.json with ``splits``, the hash of each fold's split, as it is today.

    Example:
        >>> run_block({"fold": 3, "split_hash": "b45a"}), run_block({"split_hash": ["b45a", "07c1"]})
        ({'splits': {'3': 'b45a'}}, {'splits': {'0': 'b45a', '1': '07c1'}})
    """
    now = dict(block)
    if "split_hash" in now:
        fold, hashes = now.pop("fold", 0), now.pop("split_hash")
        now["splits"] = {str(fold): hashes} if isinstance(hashes, str) else {str(i): h for i, h in enumerate(hashes)}
    return now
