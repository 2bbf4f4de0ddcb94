"""Keeps promises in sight, so that it is told before one breaks. Part of the watchdog process.

Any number of them may run: each change of a promise is a compare-and-set, so that one of them tells it. What is due
soon is looked at in every round; the rest in turns, a page in each, so that a long backlog costs a round no more than
a short one, and a promise is looked at the more often the nearer it is.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import promising, updates
from invoicing.jobs.model import Job, News
from invoicing.jobs.promising import Place
from invoicing.jobs.view import Explainer
from invoicing.kit.db import transaction
from workers.pulse import Pulses
from workers.rounds import Rounds

log = logging.getLogger(__name__)

_EVERY_S = 2.0
_COUNT_EVERY_S = 5.0
_UPDATE_EVERY_S = 1.0
_PAGE = 500
_MOST_NEAR = 4
"""Pages of what is due soon in one round; of more than that, those due first."""
_NEAR = timedelta(minutes=2)
_TURN = timedelta(seconds=30)
"""What is due later is not looked at again before so much time is over."""


_LOWEST = UUID(int=0)


class Keeper:
    """Runs its rounds until told to stop; one that fails is logged and comes again."""

    def __init__(
        self,
        engine: AsyncEngine,
        explain: Explainer,
        *,
        every_s: float = _EVERY_S,
        page: int = _PAGE,
        pulses: Pulses | None = None,
    ) -> None:
        """Look after the promises of a ledger, judged by how jobs are explained."""
        self._engine = engine
        self._explain = explain
        self._every_s = every_s
        self._page = page
        self._later: Place | None = None
        """Where the look at what is due later goes on."""
        self._turn_ends: datetime | None = None
        self._rounds = Rounds("look after promises", "promises.failed", pulses)
        self.told: Counter[str] = Counter()
        """Promises told of so far, by what was told."""

    def stop(self) -> None:
        """End after the round that is under way."""
        self._rounds.stop()

    async def run(self) -> None:
        """Look after them, write what is due of news and count those that have ended, each at its own pace."""
        await asyncio.gather(
            self._rounds.every("promises", self._every_s, self.round),
            self._rounds.every("updates", _UPDATE_EVERY_S, self.update),
            self._rounds.every("count_promises", _COUNT_EVERY_S, self.count),
        )

    async def update(self) -> int:
        """Write an update of each job of which somebody was told that there will be news, and there is none yet."""
        count, more = 0, True
        while more and not self._rounds.ending:
            async with transaction(self._engine) as session:
                settled = await updates.settle(session, self._page)
                owed = await updates.owed(session, self._page)
            async with self._engine.connect() as session:
                found = await updates.made(session, owed, self._explain)
            async with transaction(self._engine) as session:
                written = len(await updates.tell(session, found))
            count += written
            more = self._page in {settled, written}
            self._rounds.get_on("updates")
        if count:
            log.info("told that there is no news", extra={"action": "updates.told", "count": count})
        return count

    async def count(self) -> None:
        """Count how promises ended since the last count, whoever made it."""
        more = True
        while more and not self._rounds.ending:
            async with transaction(self._engine) as session:
                more = await promising.count(session)
            self._rounds.get_on("count_promises")

    async def round(self) -> int:
        """Look at what is due soon, and go on with the rest; gives how many promises changed."""
        async with self._engine.connect() as session:
            now = await promising.clock(session)
        changed, place = 0, None
        for _ in range(_MOST_NEAR):
            jobs = await self._read(place, now + _NEAR)
            changed += await self._judge(jobs, now)
            if len(jobs) < self._page:
                break
            place = jobs[-1].promise_due, jobs[-1].id
        return changed + await self._look_farther(now)

    async def _look_farther(self, now: datetime) -> int:
        if self._later is None:
            if self._turn_ends is not None and now < self._turn_ends:
                return 0
            self._turn_ends = now + _TURN
        soon: Place = (now + _NEAR, _LOWEST)
        jobs = await self._read(max(self._later or soon, soon), None)
        self._later = (jobs[-1].promise_due, jobs[-1].id) if len(jobs) == self._page else None
        return await self._judge(jobs, now)

    async def _read(self, after: Place | None, before: datetime | None) -> Sequence[Job]:
        async with self._engine.connect() as session:
            return await promising.may_break(session, after, before, self._page)

    async def _judge(self, jobs: Sequence[Job], now: datetime) -> int:
        """Judge in one transaction, and tell in another: the rows are held for no longer than it takes to write."""
        if not jobs:
            return 0
        async with self._engine.connect() as session:
            notices = await promising.judged(session, jobs, self._explain, now)
        if not notices:
            return 0
        async with transaction(self._engine) as session:
            told = await promising.tell(session, notices)
        for news in News:
            count = sum(notice.news is news and notice.job_id in told for notice in notices)
            if count:
                self.told[news] += count
                log.info("told of promises", extra={"action": f"promises.{news}", "count": count})
        return len(told)
