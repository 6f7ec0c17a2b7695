"""Features on the device: ``(waveform, lengths) -> (features, lengths)``, each a module with ``n_features`` and ``names``."""

import hashlib
from functools import cache
from pathlib import Path


@cache
def source_hash() -> str:
    """Return the SHA-256 of the code of all features, so that features kept on disk are computed anew when it changes."""
    whole = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        whole.update(file.read_bytes())
    return whole.hexdigest()
