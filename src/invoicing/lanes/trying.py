"""Who goes to find out whether something outside is there again, and who waits for what that one finds."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Breaker, Breakers
from invoicing.jobs.model.dependencies import first_shut, room_to_try
from invoicing.lanes.model import Waiting


def to_try(breakers: Breakers, now: float) -> Mapping[str, int]:
    """Say how many jobs may start that need what is down; `now` is since the epoch."""
    return room_to_try(breakers, datetime.fromtimestamp(now, UTC)) if breakers else {}


def newest(known: Breakers, read: Breakers) -> Breakers:
    """Go on with what was read, but for what is older than what is known: a try may have begun since."""
    return {name: _newer(known.get(name), one) for name, one in read.items()}


def _newer(known: Breaker | None, read: Breaker) -> Breaker:
    if known is None or known.opened_at != read.opened_at:
        return read
    return max(read, known, key=lambda one: one.tries)


def held_back(runway: Iterable[Waiting], breakers: Breakers) -> list[Waiting]:
    """Find what was released and is held back by now; who tries is not."""
    if not breakers:
        return []
    trying = {(one.job_id, one.attempt) for one in breakers.values()}
    return [one for one in runway if (one.job_id, one.attempt) not in trying and first_shut(one.needs, breakers)]


async def begin_to_try(
    connection: "asyncpg.Connection[Any]", breakers: Breakers, taken: Sequence[Waiting]
) -> tuple[Breakers, Mapping[UUID, Waiting]]:
    """Note which of the jobs taken are to try what is down, before they are released.

    Gives the breakers as they are then, and who must not be released: it was chosen by what is not so any more, as
    another leader chose before.
    """
    now, refused = dict(breakers), dict[UUID, Waiting]()
    for one in taken:
        needed = [now[name] for name in one.needs.split() if name in now]
        begun = [await ledger.begin_try(connection, breaker, one.job_id, one.attempt) for breaker in needed]
        now |= {breaker.name: breaker for breaker in begun if breaker is not None}
        if None in begun:
            refused[one.job_id] = one
    return now, refused
