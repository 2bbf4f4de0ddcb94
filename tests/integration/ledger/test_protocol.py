"""Every order in which claims, leases, rescues, ends and cancels may meet: explored, then done to the ledger itself."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from invoicing.jobs import service as ledger
from invoicing.jobs.kinds import StopRequested
from invoicing.jobs.model import FINISHED, WAITING, Claim, Event, State, judge
from invoicing.jobs.model.losses import Life
from invoicing.kit.db import driver, make_engine, transaction
from workers.performance import FencedPerformance
from workers.stillness import Stillness

from ..book import NORMAL_SMALL, Book
from .protocol import GONE, OUTCOMES, POLICY, WORKERS, Place, Step, after, ordinary, possible

MOST = 2
"""Attempts at the job: enough for a late worker, and for two that died."""

Edge = tuple[Place, Step, Place]


def explored() -> tuple[set[Place], list[Edge]]:
    """Find every place that can be reached, and every step between two."""
    seen, edges, new = {Place()}, [], [Place()]
    while new:
        place = new.pop()
        for step in possible(place, MOST):
            there = after(place, step)
            edges.append((place, step, there))
            if there not in seen:
                seen.add(there)
                new.append(there)
    return seen, edges


PLACES, EDGES = explored()


def test_what_is_explored_is_all_that_is_meant() -> None:
    assert {place.state for place in PLACES} == set(State) - {State.IN_REVIEW}
    assert {len(place.losses) for place in PLACES} == {0, 1, 2}
    assert any(place.running and place.over and not place.known for place in PLACES)


Wrong = Callable[[Place, Step, Place], bool]
"""Whether a step from one place to another should not be possible."""


def blamed(_: Place, step: Step, there: Place) -> bool:
    return step.name == "rescue" and there.state is State.DEAD


NEVER: dict[str, Wrong] = {
    "a final state is left": lambda here, _, there: here.state in FINISHED and there.state is not here.state,
    "an attempt ends that is not the current one, or does not run": lambda here, step, _: (
        step.name == "settle" and (step.attempt, State.RUNNING) != (here.attempt, here.state)
    ),
    "an attempt that was ended can be ended again": lambda here, step, there: (
        step.name in {"settle", "rescue"} and (there.running or there.attempt != here.attempt)
    ),
    "an attempt begins twice": lambda here, _, there: (
        (there.attempt - here.attempt) != (there.running and not here.running)
    ),
    "a worker changes a job that it does not have": lambda here, step, _: (
        step.name in {"settle", "step"} and here.owner != step.worker
    ),
    "a job is on the runway when it has just ended an attempt": lambda here, _, there: here.running and there.released,
    "what cannot be undone is cancelled": lambda _, __, there: there.cancel and there.irrevocable,
    "a job is blamed that must go on": lambda here, step, there: blamed(here, step, there) and here.irrevocable,
    "what cannot be undone dies": lambda here, _, there: there.state is State.DEAD and here.irrevocable,
    "a job is blamed for too few deaths": lambda here, step, there: (
        blamed(here, step, there) and len(there.losses) < POLICY.deaths
    ),
    "a job is blamed before a death is proven": lambda here, step, there: (
        blamed(here, step, there) and step.how != Life.DEAD
    ),
    "a lost worker, a drain or giving way counts as a failure": lambda here, step, there: (
        here.failures != there.failures and step.how not in {"failed", "rejected"}
    ),
}


@pytest.mark.parametrize("wrong", NEVER.values(), ids=NEVER)
def test_whatever_happens_in_whatever_order_it_never_happens_that(wrong: Wrong) -> None:
    assert [edge for edge in EDGES if edge[0] != edge[2] and wrong(*edge)][:1] == []


def test_nothing_is_ever_stuck() -> None:
    """From every place the service comes to an end by itself, if work succeeds at last and workers are started."""
    for place in PLACES:
        seen, new = {place}, [place]
        while new and not any(one.state in FINISHED for one in seen):
            here = new.pop(0)
            for there in (after(here, step) for step in ordinary(here)):
                if there not in seen:
                    seen.add(there)
                    new.append(there)
        assert any(one.state in FINISHED for one in seen), place


NUMBERS = st.integers(1, MOST + 1)
NAMES = st.sampled_from(WORKERS)


class Together(RuleBasedStateMachine):
    """Does each step to the model and to a ledger, and compares where the job stands."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.engine = make_engine(self.url, pool_size=2)
        self.book = self.run(Book.open(self.engine))
        self.run(self.book.do("TRUNCATE jobs, attempts, timeline CASCADE"))
        self.job: UUID = self.run(self.book.submit(seconds=0))
        self.place = Place()
        self.ids = {name: uuid4() for name in WORKERS}
        self.claims: dict[int, Claim] = {}
        self.ends: dict[int, str] = {}

    def teardown(self) -> None:
        self.run(self.engine.dispose())
        self.runner.close()

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def step(self, step: Step) -> bool:
        """Take the step in the model; tells whether it changes anything."""
        before, self.place = self.place, after(self.place, step)
        if before.running and not self.place.running:
            self.ends[before.attempt] = "lost" if step.name == "rescue" else _written(step.how, before)
        return before != self.place

    @rule(attempt=NUMBERS)
    def release(self, attempt: int) -> None:
        async def release() -> list[Any]:
            async with self.engine.connect() as session:
                return await ledger.release(await driver(session), [(self.job, attempt, NORMAL_SMALL)], 0)

        assert bool(self.run(release())) == self.step(Step("release", attempt=attempt, how="put"))

    @rule()
    def reconcile(self) -> None:
        async def unclaimed() -> list[Any]:
            async with self.engine.connect() as session:
                return await ledger.unclaimed(session, timedelta(seconds=-1))

        self.step(Step("reconcile"))
        due = [(self.job, self.place.attempt + 1)] if self.place.released else []
        assert [one.ticket for one in self.run(unclaimed())] == due

    @rule()
    def withdraw(self) -> None:
        assert bool(self.run(self.book.withdraw())) == self.step(Step("withdraw"))

    @rule(worker=NAMES, attempt=NUMBERS, how=st.sampled_from(["heard", "unheard"]))
    def claim(self, worker: str, attempt: int, how: str) -> None:
        claims = self.run(self.book.claim(self.ids[worker], [(self.job, attempt)] * 2))
        assert [one.attempt for one in claims] == [attempt] * self.step(Step("claim", worker, attempt, how))
        self.claims |= {one.attempt: one for one in claims}

    @precondition(lambda self: self.place.state in WAITING)
    @rule(worker=NAMES)
    def begin(self, worker: str) -> None:
        """Get further than chance does."""
        if not self.place.released:
            self.release(self.place.attempt + 1)
        self.claim(worker, self.place.attempt + 1, "heard")

    @rule(worker=NAMES, attempt=st.integers(0, MOST + 1))
    def renew(self, worker: str, attempt: int) -> None:
        async def renew() -> dict[tuple[UUID, int], bool]:
            async with self.engine.connect() as session:
                return await ledger.renew(
                    await driver(session), self.ids[worker], [(self.job, attempt)], timedelta(hours=1)
                )

        self.step(Step("renew", worker, attempt))
        has = self.place.running and (self.place.attempt, self.place.owner) == (attempt, worker)
        assert self.run(renew()) == ({(self.job, attempt): self.place.cancel} if has else {})

    @rule()
    def expire(self) -> None:
        self.step(Step("expire"))
        self.run(self.book.do("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE state = 'running'"))

    @rule(life=st.sampled_from(Life))
    def rescue(self, life: Life) -> None:
        async def rescue() -> dict[UUID, State]:
            owner = await self.book.scalar("SELECT worker_id FROM jobs")
            now: datetime = await self.book.scalar("SELECT now()")
            signs = {owner: ledger.Sign("host", now)} if life is Life.LIVES else {}
            watched = timedelta(days=life is Life.DEAD)
            async with self.engine.connect() as session:
                watch = ledger.Watch(signs, watched, timedelta(0 if life is Life.DEAD else 1))
                return await ledger.rescue(await driver(session), watch, {"drill": POLICY})

        changed = self.run(rescue())
        assert changed == ({self.job: self.place.state} if self.step(Step("rescue", how=life)) else {})

    @precondition(lambda self: self.place.running)
    @rule(life=st.sampled_from(Life))
    def lose(self, life: Life) -> None:
        self.expire()
        self.rescue(life)

    @precondition(lambda self: self.place.state in WAITING)
    @rule(first=NAMES, second=NAMES, how=st.sampled_from(list(OUTCOMES)))
    def overtake(self, first: str, second: str, how: str) -> None:
        """Have a worker end late, when another has its job: chance alone hardly ever gets there."""
        self.begin(first)
        self.expire()
        self.rescue(Life.LIVES)
        self.begin(second)
        self.settle_late(1, how)
        self.the_ledger_stands_where_the_model_does()

    @precondition(lambda self: self.place.attempt > 1)
    @rule(late=st.integers(1, MOST), how=st.sampled_from(list(OUTCOMES)))
    def settle_late(self, late: int, how: str) -> None:
        self.settle(self.place.attempt - late, how)
        self.make_irrevocable(self.place.attempt - late)

    @precondition(lambda self: self.place.attempt > 0)
    @rule(how=st.sampled_from(["interrupted", "parked", "failed"]))
    def go_back(self, how: str) -> None:
        self.settle(self.place.attempt, how)

    @precondition(lambda self: self.place.attempt >= MOST)  # else most jobs are done before anybody can be late
    @rule(attempt=NUMBERS, how=st.sampled_from(list(OUTCOMES)))
    def end(self, attempt: int, how: str) -> None:
        self.settle(attempt, how)

    def settle(self, attempt: int, how: str) -> None:
        claim = self.claims.get(attempt)
        if claim is not None:
            settled = self.run(self.book.settle(claim, OUTCOMES[how], POLICY))
            assert settled == self.step(Step("settle", attempt=attempt, how=how))

    @rule(attempt=NUMBERS)
    def make_irrevocable(self, attempt: int) -> None:
        claim = self.claims.get(attempt)
        if claim is None:
            return

        async def step() -> None:
            performance = FencedPerformance(self.engine, claim, {}, Stillness(lambda: None))
            async with performance.step(irrevocable=True):
                pass

        try:
            self.run(step())
            done = True
        except StopRequested:
            done = False
        self.step(Step("step", attempt=attempt))
        assert done == (self.place.running and self.place.attempt == attempt and not self.place.cancel)

    @precondition(lambda self: self.place.attempt >= MOST or self.place.running)  # as above
    @rule()
    def cancel(self) -> None:
        changed = self.run(self.book.cancel(self.job))[1] is not None
        assert changed == self.step(Step("cancel"))

    @rule(worker=NAMES)
    def die(self, worker: str) -> None:
        self.step(Step("die", worker))
        self.step(Step("start", worker))
        self.ids[worker] = uuid4()

    @invariant()
    def the_ledger_stands_where_the_model_does(self) -> None:
        assert self.run(self.seen()) == self.meant()

    def meant(self) -> dict[str, Any]:
        place = self.place
        owner = self.ids.get(place.owner or "")
        return {
            "state": place.state, "attempt": place.attempt, "failures": place.failures, "released": place.released,
            "owner": GONE if place.owner == GONE else owner, "over": place.over, "cancel": place.cancel,
            "irrevocable": place.irrevocable, "deaths": sorted(number for number, _ in place.losses),
            "ends": [self.ends.get(number) for number in range(1, place.attempt + 1)],
        }  # fmt: skip

    async def seen(self) -> dict[str, Any]:
        async with transaction(self.engine) as session:
            row = (await session.execute(text(_SEEN))).mappings().one()
        found = {**row, "state": State(row["state"])}
        if found["owner"] is not None and found["owner"] not in self.ids.values():
            found["owner"] = GONE
        return found


_SEEN = """
SELECT state, attempt, failures, released_at IS NOT NULL AS released, worker_id AS owner, irrevocable,
    coalesce(lease_until < now(), false) AS over, cancel_requested_at IS NOT NULL AS cancel,
    ARRAY(SELECT attempt FROM losses WHERE job_id = jobs.id AND returned_at IS NULL ORDER BY attempt) AS deaths,
    ARRAY(SELECT outcome FROM attempts WHERE job_id = jobs.id ORDER BY number) AS ends
FROM jobs
"""


def _written(how: str, place: Place) -> str:
    """Say how the end of an attempt is written down, whatever becomes of its job."""
    event = judge(OUTCOMES[how], place.failures, POLICY, 0.0).event
    if event is Event.DEAD and place.irrevocable:
        return Event.RETRYING
    return Event.INTERRUPTED if event is Event.PARKED else event


def test_the_ledger_does_what_the_model_says(database_url: str) -> None:
    class Here(Together):
        url = database_url

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            derandomize=True,  # the same steps each time
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
