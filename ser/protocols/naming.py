"""The name of a protocol in results: that of its file in ``conf/protocol/``, or with ``(changed)`` if a setting differs.

A published protocol fixes its folds, so that numbers of one name can be compared. This is the only place that decides it.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.runtime.conf_dir import conf_dir
from ser.runtime.help_page import CHANGED
from ser.runtime.instantiate import find_class


def reported_name(settings: Mapping[str, Any], name: str) -> str:
    """Return the name of a protocol in results.

    A setting that is left out has its default. Settings in the attribute ``asked`` of the protocol's class, such as the
    corpora of `ser.protocols.cross_corpus`, do not count: results show them. Other names than those of the package's files
    stay as they are.

    Args:
        settings: The protocol's settings, with ``_target_``.
        name: How the protocol names itself.

    Example:
        >>> cv = {"_target_": "ser.protocols.speaker_cv.SpeakerCV", "folds": 5}
        >>> reported_name(cv, "speaker_cv"), reported_name({**cv, "folds": 3}, "speaker_cv")
        ('speaker_cv', 'speaker_cv (changed)')
        >>> reported_name({"_target_": "ser.protocols.speaker_cv.SpeakerCV"}, "mine")
        'mine'
    """
    packaged = _packaged(name)
    same = packaged is None or _whole(packaged) == _whole(settings)
    return name if same else name + CHANGED


def _packaged(name: str) -> dict[str, Any] | None:
    """Return the settings of a protocol of the package; ``None`` if it has none of this name."""
    from omegaconf import OmegaConf

    files = {file.stem: file for file in Path(conf_dir(), "protocol").glob("*.yaml")}
    return None if name not in files else dict(OmegaConf.to_container(OmegaConf.load(files[name])))  # type: ignore[arg-type]


def _whole(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the defaults of those that are left out, and without those that the class asks for."""
    kind = find_class(str(settings["_target_"]), object)
    parameters = inspect.signature(kind).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    asked = getattr(kind, "asked", ())
    whole = {key: value for key, value in {**defaults, **settings}.items() if key not in asked}
    return {**whole, "_target_": f"{kind.__module__}.{kind.__qualname__}"}
