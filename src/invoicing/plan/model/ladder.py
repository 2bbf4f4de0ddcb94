"""Times that people can say: a quantile of a sample, and a promise rounded up to a readable step."""

import math
from collections.abc import Sequence

_STEPS_S = tuple(
    [step * 10.0**power for power in (-2, -1, 0) for step in (1, 2, 5)]
    + [10.0, 20.0, 30.0, 45.0]
    + [60.0 * minutes for minutes in (1, 2, 3, 5, 10, 15, 20, 30, 45)]
    + [3600.0 * hours for hours in (1, 2, 3, 4, 6, 8, 12, 18)]
    + [86_400.0 * days for days in (1, 2, 3, 5, 7, 14, 30)]
)

P99_NEEDS = 500
"""Jobs that a 99 % quantile needs to mean something: below, five or fewer jobs lie beyond it."""


def quantile(ordered: Sequence[float], share: float) -> float:
    """Give the smallest value that so large a share of the (ordered) values does not exceed; 0 of none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def promisable(seconds: float) -> float:
    """Round a time up to one that can be promised in words."""
    return next((step for step in _STEPS_S if step >= seconds), math.ceil(seconds / 86_400) * 86_400.0)


def spoken(seconds: float) -> str:
    """Write a time briefly: 230 ms, 1.4 s, 12 min, 5 h 20 min; an infinite one is never."""
    if not math.isfinite(seconds):
        return "never"
    if seconds < 89.5 and not math.isclose(seconds, 60):
        return _seconds(seconds)
    if seconds < 600 and round(seconds) % 60:
        return f"{seconds / 60:.1f} min".replace(".0 ", " ")
    if seconds < 3_570:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return _two(round(seconds / 60), 60, "h", "min")
    return _two(round(seconds / 3_600), 24, "d", "h")


def _seconds(seconds: float) -> str:
    if seconds < 0.9995:
        milliseconds = f"{seconds * 1000:.0f}"
        return "0 s" if milliseconds == "0" else f"{milliseconds} ms"
    return f"{seconds:.1f} s".replace(".0 ", " ") if seconds < 9.95 else f"{seconds:.0f} s"


def _two(parts: int, size: int, large: str, small: str) -> str:
    whole, left = divmod(parts, size)
    return f"{whole} {large} {left} {small}" if left else f"{whole} {large}"
