"""Where everything in the picture goes: places from 0 to 1, texts ready to be read; drawn by `plan.typ`."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from invoicing.lanes.model import SIZES
from invoicing.plan.model.ladder import spoken
from invoicing.plan.model.report import Report, Row
from invoicing.plan.model.work import Moment

COLOURS = ("#1f6feb", "#d9730d")
"""The first scenario and the second: told apart by all, whatever colours they see."""

_DECADES_S = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 36_000.0, 345_600.0, 3_456_000.0)
_TIME_STEPS_S = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 900.0, 1800.0),
    *(3600.0, 7200.0, 10_800.0, 21_600.0, 43_200.0),
    *(86_400.0, 172_800.0, 604_800.0),
)
_POINTS = 240
_ROOM_FOR_A_LABEL = 0.11


def scene(title: str, subtitle: str, reports: Sequence[tuple[str, Report]], notes: Iterable[str]) -> dict[str, Any]:
    """Lay the picture out for one or two named reports."""
    lasted_s = max((report.course[-1].at_s for _, report in reports if report.course), default=1.0) or 1.0
    return {
        "title": title,
        "subtitle": subtitle,
        "names": [name for name, _ in reports],
        "colours": list(COLOURS[: len(reports)]),
        "waits": waits([report for _, report in reports]),
        "times": times(lasted_s),
        "series": [
            _series("Slots in use", reports, lasted_s, lambda at: at.busy, _slots),
            _series("Jobs waiting", reports, lasted_s, lambda at: at.waiting, lambda _report: None),
        ],
        "notes": list(notes),
    }


def waits(reports: Sequence[Report]) -> dict[str, Any]:
    """Lay out how long each class waited, on a logarithmic axis from the shortest wait worth showing."""
    rows = [row for report in reports for row in report.rows if row.priority is None]
    seen = [wait for row in rows for wait in (row.wait.p50, row.wait.p90, row.wait.p99, row.wait.most)]
    longest = max(filter(math.isfinite, seen), default=1.0)
    upper = next((step for step in _DECADES_S[2:] if step >= longest), _DECADES_S[-1])
    shown = _DECADES_S[: _DECADES_S.index(upper) + 1]

    def place(wait_s: float) -> float:
        if wait_s <= shown[0]:
            return 0.0
        return min(1.0, math.log(wait_s / shown[0]) / math.log(upper / shown[0]))

    return {
        "ticks": [{"at": place(step), "label": ("≤ " if step == shown[0] else "") + spoken(step)} for step in shown],
        "rows": [
            {
                "label": str(size),
                "note": " / ".join(f"{row.jobs:,}" if row else "none" for row in of_size) + " jobs",
                "bars": [_bar(row, colour, place) for colour, row in enumerate(of_size) if row],
            }
            for size in SIZES
            if any(of_size := [report.row(size) for report in reports])
        ],
    }


def _bar(row: Row, colour: int, place: Callable[[float], float]) -> dict[str, Any]:
    said = f"99 of 100: {spoken(row.wait.p99)}"
    places = {"p50": row.wait.p50, "p90": row.wait.p90, "p99": row.wait.p99, "max": row.wait.most}
    return {"colour": colour, "says": said + (" (few)" if row.few else "")} | {
        name: place(wait) for name, wait in places.items()
    }


def times(lasted_s: float) -> list[dict[str, Any]]:
    """Mark the time in round steps, some five of them."""
    step = next((one for one in _TIME_STEPS_S if lasted_s / one <= 8), lasted_s / 5)
    return [
        {"at": number * step / lasted_s, "label": spoken(number * step)} for number in range(int(lasted_s / step) + 1)
    ]


def rounded_up(value: float) -> tuple[float, list[float]]:
    """Give a round upper end of an axis, and its marks."""
    size = 10.0 ** math.floor(math.log10(max(value, 1.0)))
    step = next(one for one in (size / 5, size / 2, size, size * 2, size * 5) if value / one <= 5)
    step = max(1.0, step)
    upper = max(1, math.ceil(value / step)) * step
    return upper, [number * step for number in range(round(upper / step) + 1)]


def _series(
    title: str,
    reports: Sequence[tuple[str, Report]],
    lasted_s: float,
    value: Callable[[Moment], int],
    level: Callable[[Report], int | None],
) -> dict[str, Any]:
    levels = [level(report) for _, report in reports]
    most = max((value(at) for _, report in reports for at in report.course), default=1)
    upper, marks = rounded_up(max([most, *(one for one in levels if one is not None)]))
    return {
        "title": title,
        "ticks": [{"at": mark / upper, "label": f"{mark:,.0f}"} for mark in marks],
        "lines": [
            {"colour": colour, "points": [(at / lasted_s, high / upper) for at, high in _thinned(report.course, value)]}
            for colour, (_, report) in enumerate(reports)
        ],
        "levels": _apart([(colour, one, one / upper) for colour, one in enumerate(levels) if one is not None]),
    }


def _slots(report: Report) -> int | None:
    return sum(report.slots)


def _apart(levels: Sequence[tuple[int, int, float]]) -> list[dict[str, Any]]:
    """Keep labels of levels from lying upon each other; two that are the same are drawn once."""
    ordered = sorted(
        {count: (colour, count, at) for colour, count, at in reversed(levels)}.values(), key=lambda one: one[2]
    )
    places = [at for _, _, at in ordered]
    for index, (below, above) in enumerate(pairwise(places)):
        places[index + 1] = max(above, below + _ROOM_FOR_A_LABEL)
    return [
        {"colour": colour, "label": f"{count:,} slots", "at": at, "place": place}
        for (colour, count, at), place in zip(ordered, places, strict=True)
    ]


def _thinned(course: Sequence[Moment], value: Callable[[Moment], int]) -> list[tuple[float, float]]:
    """Draw no more points than can be seen: the mean of as many neighbours as it takes, each at its middle."""
    many = max(1, math.ceil(len(course) / _POINTS))
    parts = [course[first : first + many] for first in range(0, len(course), many)]
    return [(sum(at.at_s for at in part) / len(part), sum(map(value, part)) / len(part)) for part in parts]
