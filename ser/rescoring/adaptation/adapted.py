"""`AdaptedSuite`: what the suites of speaker-adapted runs share."""

from pathlib import Path

from typing_extensions import override

from ser.errors import ConfigError
from ser.evaluation.measure import refuse_numbers
from ser.protocols.stamps import ADAPTED
from ser.rescoring.suite import Suite
from ser.runs.folder import RunFolder


class AdaptedSuite(Suite):
    """A suite of runs whose model uses a speaker's clips, and predicts classes."""

    @override
    def run(self, folder: Path, corpora: str, stores: str) -> None:
        run = RunFolder(folder)
        if ADAPTED not in run.about["stamps"]:
            raise ConfigError(
                f"The run must be trained with normalise=speaker for suite={self.name}; got {run.path}, whose model does not "
                "use a speaker's clips. Train with normalise=speaker."
            )
        # Its scores are means over draws, which sums of moments do not give.
        refuse_numbers(run.metrics, f"suite={self.name}")
        super().run(folder, corpora, stores)


def is_whole(value: object, least: int) -> bool:
    """Whether a setting is a whole number of at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
