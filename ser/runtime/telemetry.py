"""Packages that report their use to their makers are told not to: recordings of people are scored here.

ONNX Runtime from 1.29 sends the names and hashes of models to its maker on Linux and macOS, too
(https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md), and Ray what a cluster is made of
(https://docs.ray.io/en/latest/cluster/usage-stats.html).
"""

import os

SWITCHES = {"ORT_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""Environment variables by which these packages are told, before they are imported."""


def send_no_telemetry() -> None:
    """Switch reports of use off, for this process and those that it starts; a variable that is set is left as it is."""
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
