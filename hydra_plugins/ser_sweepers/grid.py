"""`GridSweeper`: like Hydra's own sweeper, but it runs only the combinations that are not done yet."""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser


class GridSweeper(BasicSweeper):
    """Run `ser.sweeps.sweep.Sweep` for every combination of values; ``params`` are those of Hydra's sweeper."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run every combination that is not done yet; exit with 1 if one is not done in the end."""
        from ser.command import RESUME_SWEEP, friendly_errors
        from ser.sweeps.sweep import Sweep

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        chosen = parser.parse_overrides([*self._parse_config(), *arguments])
        (batch,) = self.split_arguments(chosen, None)
        with friendly_errors(RESUME_SWEEP):
            sweep = Sweep(self.config, self.hydra_context, self.launcher)
            returns = sweep.launch(sweep.plan(batch))
            sweep.finish()
        return [returns]
