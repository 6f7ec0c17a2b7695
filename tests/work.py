"""How much work something is, counted rather than timed: no processor, no other load and no clock has a say in it."""

import cProfile
import pstats
from collections.abc import Callable


def calls(compute: Callable[[], object]) -> int:
    """Return how many functions are called: a loop over rows where a table would do shows as a multiple of the rows."""
    profile = cProfile.Profile()
    profile.runcall(compute)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]  # of its stubs
