"""Jobs whose lease is over, taken from their workers: read, judged and written in one transaction for each batch."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from invoicing.jobs.model import RetryPolicy, State, jitter
from invoicing.jobs.model.losses import NOBODY, POISON, Lost, Watch, as_evidence, judge_loss, life_of
from invoicing.jobs.store import rescue as store

_FIRST = datetime.min.replace(tzinfo=UTC), UUID(int=0)


async def rescue(
    connection: "asyncpg.Connection[Any]", watch: Watch = NOBODY, policies: Mapping[str, RetryPolicy] | None = None
) -> dict[UUID, State]:
    """Take lost jobs from their workers; gives what became of them, without those still waiting for a proof of death.

    `policies` are those of the kinds; for one that is not among them the usual one holds.
    """
    changed: dict[UUID, State] = {}
    after = _FIRST
    while True:
        async with connection.transaction():
            now, lost = await store.lost(connection, after)
            if now is not None:
                changed |= await _judged(connection, lost, watch, policies or {}, now)
        if len(lost) < store.MOST_AT_ONCE:
            return changed
        after = lost[-1].lease_until, lost[-1].job_id


async def _judged(
    connection: "asyncpg.Connection[Any]",
    lost: list[Lost],
    watch: Watch,
    policies: Mapping[str, RetryPolicy],
    now: datetime,
) -> dict[UUID, State]:
    usual = RetryPolicy()
    asked = [(one, judge_loss(one, life_of(one, watch, now), policies.get(one.kind, usual), jitter())) for one in lost]
    verdicts = [(one, verdict) for one, verdict in asked if verdict is not None]
    if not verdicts:
        return {}
    poisoned = [one for one, verdict in verdicts if verdict.why == POISON]
    deaths = await store.deaths(connection, poisoned, watch, now) if poisoned else {}
    judged = []
    for one, verdict in verdicts:
        data: dict[str, object] = verdict.told()
        if one.job_id in deaths:
            data["attempts"] = [death.attempt for death in deaths[one.job_id]]
            data["staff"] = {"deaths": as_evidence(deaths[one.job_id])}
        judged.append((one, verdict, data))
    written = await store.write(connection, judged, watch)
    return {one.job_id: verdict.state for one, verdict in verdicts if one.job_id in written}
