"""What the suites of speaker-adapted runs check."""

from ser.errors import ConfigError
from ser.evaluation.measure import refuse_numbers
from ser.protocols.stamps import ADAPTED
from ser.runs.folder import RunFolder


def check_is_adapted(run: RunFolder, suite: str) -> None:
    """Refuse a run whose model does not use a speaker's clips, or predicts numbers.

    Raises:
        ConfigError: If it is one.
    """
    if ADAPTED not in run.about["stamps"]:
        raise ConfigError(
            f"The run must be trained with normalise=speaker for {suite}; got {run.path}, whose model does not "
            "use a speaker's clips. Train with normalise=speaker."
        )
    # Its scores are means over draws, which sums of moments do not give.
    refuse_numbers(run.metrics, suite)


def is_whole(value: object, least: int) -> bool:
    """Whether a setting is a whole number of at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
