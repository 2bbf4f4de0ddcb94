"""Ending attempts, and taking in what they say of what they needed from outside.

Where no attempt says anything of that, or only that it works as it did before, this is one statement as ever.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from invoicing.jobs.model import Breaker, Settlement
from invoicing.jobs.model.dependencies import Breakers, Said, heard
from invoicing.jobs.store import attempt as store
from invoicing.jobs.store import dependencies


async def settle(connection: "asyncpg.Connection[Any]", ended: Sequence[Settlement]) -> set[UUID]:
    """End attempts that are still the current ones; gives the jobs that were settled, without the late finishers.

    A failure by what is found to be down, with this failure or before, does not count.
    """
    said = [(one.job_id, one.attempt, one.said) for one in ended if one.said is not None]
    if not said or not await _news(connection, [one for _, _, one in said]):
        return await store.settle(connection, ended)
    async with connection.transaction():
        now, before = await dependencies.locked(connection, [one for _, _, one in said])
        if now is None:
            return await store.settle(connection, ended)
        after = heard(before, await dependencies.current(connection, said), now)
        await dependencies.write(connection, before, after)
        return await store.settle(connection, [_judged(one, after, now) for one in ended])


async def _news(connection: "asyncpg.Connection[Any]", said: Sequence[Said]) -> bool:
    """Tell whether anything is said that was not so before."""
    if any(one.down is not None for one in said):
        return True
    known = await dependencies.named(connection, {name for one in said for name in one.works})
    return any(not one.at_rest for one in known.values())


def _judged(one: Settlement, breakers: Breakers, now: datetime) -> Settlement:
    """Spare a job that failed by what is down; it may run again when that is tried next."""
    breaker = breakers.get(one.said.down or "") if one.said else None
    if breaker is None or breaker.opened_at is None or one.spared is None:
        return one
    return replace(one, verdict=replace(one.spared, due_in=_until_next(breaker, now)))


def _until_next(breaker: Breaker, now: datetime) -> timedelta:
    return max(timedelta(0), (breaker.next_try_at or now) - now)
