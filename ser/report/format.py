"""Formatting of numbers for every table, page and picture: shares in percent, intervals, p-values and durations.

Counts with their nouns, and shortened lists, are in `ser.runtime.words`.
"""

from collections.abc import Callable
from math import isnan

from ser.evaluation.measure import Measure

UNDEFINED = "n/a"
MINUS = "\N{MINUS SIGN}"


def percent(share: float | None, unit: str = " %", *, signed: bool = False) -> str:
    """Write a share in percent, or a difference of shares in points, with one decimal; ``n/a`` where it is undefined.

    Example:
        >>> percent(0.46875), percent(0.02, "", signed=True), percent(-0.02, " points"), percent(None)
        ('46.9 %', '+2.0', '−2.0 points', 'n/a')
    """
    if share is None or isnan(share):
        return UNDEFINED
    return f"{100 * share:{'+' if signed else ''}.1f}{unit}".replace("-", MINUS)


def decimal(value: float | None, unit: str = "", *, signed: bool = False) -> str:
    """Write a score that is not a share with three decimals; ``unit`` is that of a percentage, which it does not have.

    Example:
        >>> decimal(0.46875), decimal(-0.02, " points", signed=True), decimal(None)
        ('0.469', '−0.020', 'n/a')
    """
    if value is None or isnan(value):
        return UNDEFINED
    return f"{value:{'+' if signed else ''}.3f}".replace("-", MINUS)


Writer = Callable[..., str]
"""`percent` or `decimal`."""


def writer(measure: Measure) -> Writer:
    """Return what writes a score of this kind: UAR in percent, CCC with three decimals."""
    return decimal if measure.numeric else percent


def interval(low: float | None, high: float | None, *, signed: bool = False, write: Writer = percent) -> str:
    """Write an interval of shares in percent, or of their differences in points; ``none`` where there is no interval.

    Example:
        >>> interval(0.61, 0.724), interval(-0.01, 0.02, signed=True), interval(None, None)
        ('[61.0, 72.4]', '[−1.0, +2.0]', 'none')
    """
    if low is None or high is None or isnan(low) or isnan(high):
        return "none"
    return f"[{write(low, '', signed=signed)}, {write(high, '', signed=signed)}]"


def with_interval(
    share: float,
    low: float | None,
    high: float | None,
    unit: str = "",
    *,
    signed: bool = False,
    write: Writer = percent,
) -> str:
    """Write a share and its interval, or the share alone where there is no interval.

    Example:
        >>> with_interval(0.668, 0.61, 0.724, " %"), with_interval(0.668, None, None)
        ('66.8 % [61.0, 72.4]', '66.8')
    """
    ends = interval(low, high, signed=signed, write=write)
    return write(share, unit, signed=signed) + (f" {ends}" if ends != "none" else "")


def probability(p: float) -> str:
    """Write a p-value with three decimals.

    Example:
        >>> probability(0.0412), probability(0.0004)
        ('0.041', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_value(p: float) -> str:
    """Write a p-value as a statement.

    Example:
        >>> p_value(0.0412), p_value(0.0004)
        ('p = 0.041', 'p < 0.001')
    """
    return f"p {probability(p)}" if p < 0.001 else f"p = {probability(p)}"


def duration(seconds: float | None) -> str:
    """Write a duration in its two largest units.

    Example:
        >>> [duration(seconds) for seconds in (4.2, 75, 4000, None)]
        ['4 s', '1 min 15 s', '1 h 06 min', 'n/a']
    """
    if seconds is None:
        return UNDEFINED
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
