"""Who may still come while others wait: what came lately, as if it came again at the same pace."""

from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import NamedTuple
from uuid import UUID

from invoicing.lanes.model.waiting import Waiting

LATELY_S = 60.0
"""How far back is looked for the pace at which jobs come (seconds)."""

MOST_LATELY = 300
"""Jobs that are looked at; where more came, the pace is that of the last of them."""

MOST = 1_000
"""Newcomers that are supposed."""


class Arrival(NamedTuple):
    """A job that came lately."""

    ago_s: float
    as_waiting: Waiting
    """As it waited when it came."""


class Newcomer(NamedTuple):
    """A job that is supposed to come, after so many seconds."""

    in_s: float
    as_waiting: Waiting


class Coming(NamedTuple):
    """Who is supposed to come while others wait."""

    newcomers: Sequence[Newcomer] = ()
    waiting: int = 0
    """How many wait already: once these have started nobody asks who else came."""


def newcomers(lately: Sequence[Arrival], span_s: float, now: float) -> Sequence[Newcomer]:
    """Let what came in the last `span_s` seconds come again and again, in the same order; `now` is since the epoch."""
    if not lately or span_s <= 0:
        return ()
    return list(islice(_again(sorted(lately, reverse=True), span_s, now), MOST))


def _again(lately: Sequence[Arrival], span_s: float, now: float) -> Iterator[Newcomer]:
    number = count(1)
    for turn in count():
        for one in lately:
            in_s = turn * span_s + span_s - one.ago_s
            delay_s = one.as_waiting.order_at - (now - one.ago_s)
            name = UUID(int=next(number))
            yield Newcomer(in_s, one.as_waiting._replace(job_id=name, order_at=now + in_s + delay_s))
