"""`OptunaSweeper`: settings proposed by Optuna, chosen by dev speakers."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class OptunaSweeper(Sweeper):
    """Run `ser.sweeps.studies.search`; ``settings`` are those of `ser.sweeps.search.Settings`, and ``params`` the space."""

    def __init__(self, params: Mapping[str, str] | None = None, **settings: Any) -> None:
        self.params, self.settings = dict(params or {}), settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra gives a sweeper before `sweep`."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: Sequence[str]) -> None:
        """Search, then score the chosen settings on the test speakers; exit with 1 if that fails."""
        from ser.command import RESUME_SWEEP, friendly_errors
        from ser.sweeps.search import Settings
        from ser.sweeps.space import settings_of_space, space_of
        from ser.sweeps.studies import search
        from ser.sweeps.sweep import Sweep

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        params, absent = settings_of_space(self.params, self.config)
        chosen = parser.parse_overrides([*(f"{key}={value}" for key, value in params.items()), *arguments])
        settings = OmegaConf.to_container(OmegaConf.create(self.settings), resolve=True)
        with friendly_errors(RESUME_SWEEP):
            fixed, space = space_of(chosen)
            sweep = Sweep(self.config, self.hydra_context, self.launcher)
            if absent:
                sweep.say(f"Not searched, as the configuration has no such settings: {', '.join(absent)}")
            search(sweep, Settings(**settings), fixed, space)  # type: ignore[arg-type]
