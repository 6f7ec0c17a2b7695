"""How far apart two ways to compute the same thing may come out, on any processor.

Tests of invariance (to padding, to the batch, to how a run was interrupted) run in float64: kernels that add up in another
order differ by about 1e-14 there, and a mistake by more than `EXACT` allows. What has to be float32 is allowed `rounding`.
"""

EXACT = {"rtol": 1e-10, "atol": 1e-10}
"""Float64: 2**-52 for each of the 10,000 roundings between input and output, on values of order 1, is 2e-12."""


def rounding(size: float, count: int) -> float:
    """Return how much float32 may lose: 2**-23 of ``size`` at each of ``count`` roundings, all in the same direction.

    A sum of ``n`` numbers rounds ``n`` times at most, on values no larger than the sum of their magnitudes, in any order
    (Higham, 2002, https://doi.org/10.1137/1.9780898718027, section 4.2); pairwise, as numpy and torch add, ``log2(n)`` times.

    Args:
        size: The largest magnitude on the way, such as the sum of the terms' magnitudes.
        count: Roundings on the longest path from an input to the result.
    """
    return 2.0**-23 * size * count
