"""How many cases hypothesis tries: the same ones each time; the variable ``SER_FUZZ`` multiplies them, with others."""

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("SER_FUZZ", "1"))


def cases(number: int) -> settings:
    """Return settings of this many cases."""
    quick = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(
        max_examples=number * TIMES, derandomize=TIMES == 1, deadline=None, database=None, suppress_health_check=quick
    )
