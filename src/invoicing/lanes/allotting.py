"""What of the backlog may start at all: which lanes and customers are paused, and what others were allotted."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg

from invoicing.customers.model import Allotment
from invoicing.jobs.model.backlog import Look
from invoicing.lanes import store
from invoicing.lanes.model import BY_NAME, Lane, Scheduler, holds_back
from invoicing.lanes.store import Paused


class Allotting:
    """Keeps a scheduler informed of what each customer may have."""

    def __init__(self, scheduler: Scheduler) -> None:
        """Know of no pause yet: the first round reads them."""
        self._scheduler = scheduler
        self._allotments: Mapping[UUID, Allotment] = {}
        self._on_hold: frozenset[UUID] = frozenset()
        self._pauses = Paused({}, {})
        self._withdrawals = -1
        """What the ledger said of withdrawals when the pauses were read."""

    def allot(self, allotments: Mapping[UUID, Allotment]) -> None:
        """Let customers have what was allotted to them, and all others what is usual."""
        before, self._allotments = self._allotments, allotments
        for customer_id in before.keys() | allotments.keys():
            self._scheduler.weigh(customer_id, allotments.get(customer_id, Allotment()).weight)
            self._limit(customer_id)

    async def held(self, connection: "asyncpg.Connection[Any]", look: Look) -> list[Lane]:
        """Name the lanes that are paused, and let nothing of paused customers start.

        Pauses are read again if any may have changed; what changes later voids the release.
        """
        if self._withdrawals != look.withdrawals:
            self._pauses, self._withdrawals = await store.paused(connection), look.withdrawals
        on_hold = frozenset(one for one, until in self._pauses.customers.items() if holds_back(until, look.now))
        changed, self._on_hold = self._on_hold ^ on_hold, on_hold
        for customer_id in changed:
            self._limit(customer_id)
        held = (name for name, until in self._pauses.lanes.items() if holds_back(until, look.now))
        return [BY_NAME[name] for name in held if name in BY_NAME]

    def next_end(self, now: float) -> float | None:
        """Tell when the next pause ends by itself (seconds since the epoch)."""
        ends = (*self._pauses.lanes.values(), *self._pauses.customers.values())
        return min((until for until in ends if holds_back(until, now)), default=None)

    def _limit(self, customer_id: UUID) -> None:
        most = self._allotments.get(customer_id, Allotment()).max_running
        self._scheduler.limit(customer_id, 0 if customer_id in self._on_hold else most)
