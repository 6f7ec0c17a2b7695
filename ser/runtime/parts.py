"""Names of features in ``features.parts``, in place of which a configuration gets their files of ``conf/features``."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import ConfigError
from ser.runtime.conf_dir import conf_dir

if TYPE_CHECKING:
    from omegaconf import DictConfig


@contextmanager
def composing() -> Iterator[None]:
    """Let Hydra compose files of ``conf/`` in a block, also within a Hydra application, which then keeps its own state."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(conf_dir(), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = before  # another instance than at first: Hydra puts a copy in its place


def fill_parts(config: "DictConfig") -> None:
    """Replace each name in ``parts`` of stacked features by its whole configuration: a stored one then needs no other file.

    A part is a name, a name with settings (``{mfcc: {n_mfcc: 13}}``), or already a configuration with ``_target_``.

    Raises:
        ConfigError: If there is no such feature.
    """
    from omegaconf import DictConfig, ListConfig, OmegaConf

    features = OmegaConf.select(config, "features")
    while isinstance(features, DictConfig):  # functionals are of other features
        if isinstance(parts := features.get("parts"), ListConfig):
            features.parts = [_filled(part) for part in parts]
        features = features.get("of")


def _filled(part: Any) -> Any:
    from omegaconf import DictConfig, OmegaConf

    if isinstance(part, DictConfig) and "_target_" in part:
        return part
    given = {part: {}} if isinstance(part, str) else part
    if not (isinstance(given, dict | DictConfig) and len(given) == 1):
        raise ConfigError(
            f"features.parts must be names of features, such as [mfcc,chroma], or {{name: settings}}; got {part}."
        )
    ((name, settings),) = given.items()
    return OmegaConf.merge(_feature(str(name)), settings or {})


def _feature(name: str) -> "DictConfig":
    """Return the configuration ``conf/features/<name>.yaml``; the module itself checks what is added to it."""
    from hydra import compose
    from omegaconf import OmegaConf

    known = sorted(file.stem for file in (Path(conf_dir()) / "features").glob("*.yaml"))
    known = [option for option in known if option not in ("own", "stack")]
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise ConfigError(f"features.parts must be among {', '.join(known)}; got {name}.{hint}")
    with composing():
        feature: DictConfig = compose(f"features/{name}").features
    OmegaConf.set_struct(feature, False)
    return feature
