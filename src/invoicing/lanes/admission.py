"""Deciding at the door whether a job is taken in, from what this process knows: nothing is asked while somebody waits.

What waits, who works and the policy are read in the background, once a second while jobs come, and what was taken in
since is added, so that thousands within that second are seen. Where that knowledge is older than ten seconds, because
nobody asked or the ledger does not answer, everybody is taken in: the backlog waits safely.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers import service as customers
from invoicing.jobs.model import NewJob, Priority, Size
from invoicing.kit.db import Session, is_away
from invoicing.kit.problems import Problem
from invoicing.lanes import store
from invoicing.lanes.model import BY_NAME, LANES, Lane, Tally, Worker, quotas
from invoicing.lanes.model.admission import Applicant, Outlook, Own, Reason, Refused
from invoicing.lanes.policies import Policies, all_policies

log = logging.getLogger(__name__)

REFRESH_S = 1.0
STALE_S = 10.0

_MOST_TALLIES = 10_000
"""Tallies that are kept, those with the most work first: who has less waiting than these floods nobody."""

_LEAST_REST = 19
"""Reading takes at most a twentieth of the time, however much there is to read, but for this:"""

_MOST_REST_S = 5.0
"""Knowledge is read anew before it is stale."""

_CODES = {
    Reason.OWN_LIMIT: "customer_limit",
    Reason.OWN_WORK: "too_much_waiting",
    Reason.OVERLOAD: "overloaded",
}

_LANES = {priority: {size: Lane(priority, size) for size in Size} for priority in Priority}


class Doorkeeper:
    """Knows what one web process has to know to take jobs in or refuse them."""

    def __init__(self, engine: AsyncEngine, clock: Callable[[], float] = time.monotonic) -> None:
        """Read through an engine; know nothing, so take everybody in, until then."""
        self._engine = engine
        self._clock = clock
        self._outlook = Outlook()
        self._read_at = float("-inf")
        self._own: dict[UUID, Own] = {}
        """What waits of the customers that sent something since the last reading, with what was taken in since."""
        self._since_s = 0.0
        """Predicted work (seconds) that was taken in since."""
        self._underway: dict[UUID, NewJob] = {}
        """What was taken in and is not stored yet, so that a reading cannot have seen it."""
        self._asked = asyncio.Event()
        self._asked.set()  # the first reading comes before the first job

    def admit(self, job: NewJob) -> Problem | None:
        """Count a job among those that wait; or say why it is not taken in now, and until when."""
        lane, own = _LANES[job.priority][job.size], self._own_of(job.customer_id)
        refused = self._judge(job, lane, own)
        if refused is None:
            self._underway[job.id] = job
            self._count(job, lane, own)
        return refused

    async def foretell(self, job: NewJob) -> Problem | None:
        """Say what would become of a job that is not sent yet; it is not counted, and what is stale is read first."""
        if self._clock() - self._read_at > STALE_S:
            await self.refresh()
        return self._judge(job, _LANES[job.priority][job.size], self._own_of(job.customer_id))

    def _judge(self, job: NewJob, lane: Lane, own: Own) -> Problem | None:
        self._asked.set()
        if self._clock() - self._read_at > STALE_S:
            return None
        promise_s = job.promise.total_seconds()
        if self._outlook.plenty(job.customer_id, lane, promise_s, own, self._since_s):
            return None
        decided = self._outlook.admit(Applicant(job.customer_id, lane, job.predicted_s, promise_s), own)
        return _problem(decided, lane) if isinstance(decided, Refused) else None

    def settle(self, job: NewJob, *, made: bool) -> None:
        """Learn what became of a job that was taken in: made, or there before, or it could not be stored."""
        self._underway.pop(job.id, None)
        if not made:
            self._own_of(job.customer_id).discount(_LANES[job.priority][job.size], job.predicted_s)
            self._since_s -= job.predicted_s

    def full(self, customer_id: UUID) -> Problem | None:
        """Say that a customer has as many jobs waiting as it may have, whatever it is about to send."""
        self._asked.set()
        if self._clock() - self._read_at > STALE_S:
            return None
        refused = self._outlook.full(customer_id, self._own_of(customer_id))
        return None if refused is None else _problem(refused, None)

    async def refresh(self) -> None:
        """Read anew what waits, who works, and the policy."""
        async with self._engine.connect() as session:
            self._know(await read_outlook(session))

    async def refresh_for_ever(self) -> None:
        """Refresh as often as it is worth it, while somebody asks."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            began = self._clock()
            try:
                await self.refresh()
            except Exception as error:
                if is_away(error):
                    log.warning("cannot read what waits: %s", error, extra={"action": "admission.not_refreshed"})
                else:
                    log.exception("cannot read what waits", extra={"action": "admission.not_refreshed"})
            await asyncio.sleep(max(REFRESH_S, min(_MOST_REST_S, _LEAST_REST * (self._clock() - began))))

    def _know(self, outlook: Outlook) -> None:
        self._outlook, self._read_at, self._own, self._since_s = outlook, self._clock(), {}, 0.0
        for job in self._underway.values():
            self._count(job, _LANES[job.priority][job.size], self._own_of(job.customer_id))

    def _own_of(self, customer_id: UUID) -> Own:
        own = self._own.get(customer_id)
        if own is None:
            own = self._own[customer_id] = self._outlook.own(customer_id)
        return own

    def _count(self, job: NewJob, lane: Lane, own: Own) -> None:
        own.count(lane, job.predicted_s)
        self._since_s += job.predicted_s


@asynccontextmanager
async def refreshed(doorkeeper: Doorkeeper) -> AsyncIterator[None]:
    """Keep a doorkeeper's knowledge fresh while the block runs."""
    task = asyncio.create_task(doorkeeper.refresh_for_ever(), name="admission")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def read_outlook(session: Session) -> Outlook:
    """Read who works, and last of all what waits and for whom, so that this is as of now."""
    policies = await all_policies(session)
    workers = await store.all_workers(session)
    allotments = await customers.allotments(session)
    pauses, on_hold = await store.active_pauses(session), frozenset(await customers.active_pauses(session))
    backlog: dict[UUID, dict[Lane, Tally]] = {}
    for tally in await store.tallies(session, _MOST_TALLIES):
        backlog.setdefault(tally.customer_id, {})[tally.lane] = tally
    paused = frozenset(BY_NAME[pause.lane] for pause in pauses if pause.lane in BY_NAME)
    return Outlook(backlog, _slots(workers, policies), allotments, policies.fleet, paused, on_hold)


def _slots(workers: Iterable[Worker], policies: Policies) -> dict[Lane, int]:
    found = dict.fromkeys(LANES, 0)
    for worker in workers:
        if worker.alive and not worker.stopping:
            quota = quotas(worker.slots, policies.of(worker.host))
            for lane in LANES:
                found[lane] += quota[lane.size] if lane.name in worker.lanes else 0
    return found


def _problem(refused: Refused, lane: Lane | None) -> Problem:
    facts: dict[str, float] = {"retry_after_s": refused.retry_after_s}
    if refused.waiting is not None and refused.most is not None:
        facts |= {"waiting": refused.waiting, "max_waiting": refused.most}
    if refused.predicted_s is not None and refused.allowed_s is not None:
        facts |= {"predicted_wait_s": round(refused.predicted_s, 1), "allowed_wait_s": round(refused.allowed_s, 1)}
    return Problem(
        _CODES[refused.reason],
        _detail(refused, lane),
        remedy="Nothing was stored. Send the same request with the same Idempotency-Key again after the time in "
        "Retry-After; by then there is room for it, unless more was sent meanwhile.",
        headers={"Retry-After": str(refused.retry_after_s)},
        facts=facts,
    )


def _detail(refused: Refused, lane: Lane | None) -> str:
    if refused.predicted_s is None or refused.allowed_s is None or lane is None:
        return f"{refused.waiting:,} of your jobs are waiting, and no more than {refused.most:,} may."
    wait = f"This job would wait about {_span(refused.predicted_s)}"
    allowed = f"a {lane.priority} job of the class {lane.size} is taken in for at most {_span(refused.allowed_s)}"
    if refused.reason is Reason.OWN_WORK:
        return f"{wait} for those of yours that wait already; {allowed}."
    return f"{wait}, because of how much there is to do for everybody just now; {allowed}."


def _span(seconds: float) -> str:
    """Put a span of time as people say it."""
    for unit, length in (("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(1.0, seconds):.0f} seconds"
