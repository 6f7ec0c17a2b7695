"""`GridSweeper`: every combination of the values that a command gives, as Hydra's own sweeper, and those only that lack."""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser


class GridSweeper(BasicSweeper):
    """See `ser.sweeps.sweep.Sweep`; ``params`` are Hydra's."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run every combination that is not done yet; exit with 1 if one cannot be."""
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
