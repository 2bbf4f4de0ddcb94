"""Whatever is called in whatever order, legal or not: every timeline is a path through the state chart."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, text
from sqlalchemy.engine import RowMapping

from invoicing.jobs import service as ledger
from invoicing.jobs.accepting import write
from invoicing.jobs.holding import let_go_of
from invoicing.jobs.kinds import StopRequested
from invoicing.jobs.model import (
    FINISHED,
    TRANSITIONS,
    WAITING,
    Cancelled,
    Claim,
    Event,
    Failed,
    Interrupted,
    JobError,
    News,
    Notice,
    Outcome,
    Priority,
    Progress,
    PromiseStatus,
    Rejected,
    Size,
    State,
    Succeeded,
    TimelineEntry,
)
from invoicing.jobs.model.holds import (
    EVERY_KIND,
    EVERYBODY,
    SECONDS,
    Period,
    Quota,
    Review,
    ReviewRule,
    Terms,
)
from invoicing.jobs.promising import tell
from invoicing.jobs.store import quotas
from invoicing.jobs.tables import jobs, timeline
from invoicing.kit.clock import now
from invoicing.kit.db import driver, make_engine, transaction
from workers.performance import FencedPerformance
from workers.stillness import Stillness

from ..book import Book

WORKERS = [uuid4(), uuid4()]
ERROR = JobError("broken", "It broke.")
OUTCOMES: list[Outcome] = [
    Succeeded({}), Rejected(ERROR), Failed(ERROR), Interrupted("drain"), Interrupted("yield", Size.LARGE), Cancelled(),
]  # fmt: skip
SIGNED = ledger.Signed("support", "support:erika", "A test.")
REVIEW = Review(ReviewRule(EVERYBODY, "drill", SECONDS, Decimal(1), "a board", timedelta(hours=1)), Decimal(2))
STAY_WAITING = {Event.EXPEDITED, Event.MOVED, Event.ADMITTED, Event.PAUSED, Event.RESUMED}
STAY_RUNNING = {Event.PROGRESSED, Event.RECLASSED, Event.CANCEL_REQUESTED}
PROMISES = {Event.PROMISE_AT_RISK, Event.PROMISE_ON_TRACK}
COUNTED = """
SELECT waiting = (SELECT count(*) FROM holds WHERE quota_id IS NOT NULL) AND NOT EXISTS (
    SELECT FROM jobs FULL JOIN holds ON job_id = id WHERE (held OR state = 'in_review') <> (job_id IS NOT NULL)
) FROM quotas
"""
SEEN: set[tuple[State, State]] = set()


class Calls(RuleBasedStateMachine):
    """Calls everything that changes a job, with jobs, tickets and claims from any time before."""

    made = Bundle("made")
    tickets = Bundle("tickets")
    claims = Bundle("claims")

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.engine = make_engine(self.url, pool_size=2)
        self.book = self.runner.run(Book.open(self.engine))
        self.runner.run(self.book.do("TRUNCATE jobs, quotas CASCADE"))
        self.quota = self.runner.run(self.limit())

    async def limit(self) -> Quota:
        async with transaction(self.engine) as session:
            return await quotas.put(session, self.book.customer_id, EVERY_KIND, 1, Period.DAY, "UTC")

    def teardown(self) -> None:
        self.runner.run(self.engine.dispose())
        self.runner.close()

    @initialize(target=made)
    def some_jobs(self) -> Any:
        return multiple(*self.runner.run(self.book.accept(*(self.book.request(seconds=0) for _ in range(3)))))

    @rule(target=made)
    def accept(self) -> UUID:
        return self.runner.run(self.book.submit(seconds=0))

    @rule(target=made, reviewed=st.booleans())
    def accept_what_something_may_hold(self, reviewed: bool) -> UUID:  # noqa: FBT001 - hypothesis names its arguments
        terms = Terms(REVIEW) if reviewed else Terms(quota_id=self.quota.id)

        async def write_one() -> UUID:
            job = replace(self.book.request(seconds=0), terms=terms)
            async with self.engine.connect() as session:
                await write(await driver(session), [job])
            return job.id

        return self.runner.run(write_one())

    @rule(most=st.integers(1, 3))
    def turn_the_quota(self, most: int) -> None:
        async def let_go() -> None:
            async with transaction(self.engine) as session:
                await session.execute(text("UPDATE quotas SET most = :most, begun_at = '2026-01-01'"), {"most": most})
                await session.execute(text("UPDATE quota_places SET begun_at = '2026-01-01'"))
            async with transaction(self.engine) as session:
                await let_go_of(session, self.quota.id)

        self.runner.run(let_go())

    @rule(job=made, rejects=st.booleans())
    def decide(self, job: UUID, rejects: bool) -> None:  # noqa: FBT001 - hypothesis names its arguments
        async def write_one() -> None:
            async with transaction(self.engine) as session:
                found = await ledger.found(session, job)
                assert found is not None
                if rejects:
                    await ledger.reject_review(session, found, SIGNED, "No.")
                else:
                    await ledger.release_review(session, found, SIGNED)

        self.runner.run(write_one())

    @rule(target=tickets, most=st.integers(1, 3), size=st.sampled_from([Size.SMALL, Size.LARGE]))
    def release(self, most: int, size: Size) -> Any:
        return multiple(*self.runner.run(self.book.release(most, (Priority.NORMAL, size))))

    @rule(target=claims, size=st.sampled_from([Size.SMALL, Size.LARGE]), worker=st.sampled_from(WORKERS))
    def start(self, size: Size, worker: UUID) -> Any:
        released = self.runner.run(self.book.release(1, (Priority.NORMAL, size)))
        return multiple(*self.runner.run(self.book.claim(worker, released)))

    @rule(size=st.sampled_from([Size.SMALL, Size.LARGE]))
    def withdraw(self, size: Size) -> None:
        self.runner.run(self.book.withdraw((Priority.NORMAL, size)))

    @rule(target=claims, ticket=tickets, worker=st.sampled_from(WORKERS))
    def claim(self, ticket: tuple[UUID, int], worker: UUID) -> Any:
        return multiple(*self.runner.run(self.book.claim(worker, [ticket, ticket])))

    @rule(claim=claims, outcome=st.sampled_from(OUTCOMES))
    def settle(self, claim: Claim, outcome: Outcome) -> None:
        self.runner.run(self.book.settle(claim, outcome))

    @rule(claim=claims, irrevocable=st.booleans())
    def progress(self, claim: Claim, irrevocable: bool) -> None:  # noqa: FBT001 - hypothesis names its arguments
        async def step() -> None:
            performance = FencedPerformance(self.engine, claim, {}, Stillness(lambda: None))
            async with performance.step(Progress(1, 2, "steps"), {"at": 1}, irrevocable=irrevocable):
                pass

        try:
            self.runner.run(step())
        except StopRequested as order:
            assert order.why in {"lost", "cancel"}  # noqa: PT017 - no exception is as good

    @rule(claim=claims, size=st.sampled_from(Size))
    def reclass(self, claim: Claim, size: Size) -> None:
        async def write() -> None:
            async with transaction(self.engine) as session:
                await ledger.reclass(session, claim.id, claim.attempt, size)

        self.runner.run(write())

    @rule(claim=claims, worker=st.sampled_from(WORKERS))
    def renew(self, claim: Claim, worker: UUID) -> None:
        self.runner.run(self.book.renew(worker, claim, lease=timedelta(seconds=30)))

    @rule(job=made)
    def lose(self, job: UUID) -> None:
        self.runner.run(self.book.lose(job))

    @rule(job=made)
    def cancel(self, job: UUID) -> None:
        self.runner.run(self.book.cancel(job))

    @rule(job=made, act=st.sampled_from(["expedite", "move", "retry"]), size=st.sampled_from([Size.SMALL, Size.LARGE]))
    def act(self, job: UUID, act: str, size: Size) -> None:
        async def write() -> None:
            async with transaction(self.engine) as session:
                found = await ledger.found(session, job)
                assert found is not None
                if act == "expedite":
                    await ledger.expedite(session, found, SIGNED)
                elif act == "move":
                    await ledger.move(session, found, SIGNED, (Priority.NORMAL, size), timedelta(seconds=20))
                else:
                    await ledger.retry(session, found, SIGNED, timedelta(seconds=20))

        self.runner.run(write())

    @rule(job=made, act=st.sampled_from(["pause", "pause", "resume", "over"]))
    def pause(self, job: UUID, act: str) -> None:
        async def write() -> None:
            async with transaction(self.engine) as session:
                found = await ledger.found(session, job)
                assert found is not None
                if act == "pause":
                    await ledger.pause_job(session, found, SIGNED, now() + timedelta(hours=1), None)
                elif act == "resume":
                    await ledger.resume_job(session, found, SIGNED)
                else:
                    await session.execute(text("UPDATE holds SET due = now() WHERE reason IS NOT NULL"))
                    await ledger.let_go_after_pauses(session)

        self.runner.run(write())

    @rule(job=made, news=st.sampled_from([News.AT_RISK, News.ON_TRACK]))
    def tell_of_a_promise(self, job: UUID, news: News) -> None:
        async def write() -> None:
            row = await self.book.row(job)
            was, due = PromiseStatus(row["promise_status"]), row["promise_due"]
            async with transaction(self.engine) as session:
                await tell(session, [Notice(job, news, was, due, None, None, None)])

        self.runner.run(write())

    async def everything(self) -> tuple[Sequence[RowMapping], dict[UUID, list[TimelineEntry]]]:
        timelines: dict[UUID, list[TimelineEntry]] = {}
        async with self.engine.connect() as session:
            rows = (await session.execute(select(jobs))).mappings().all()
            for job, *entry in await session.execute(
                select(timeline.c.job_id, timeline.c.seq, timeline.c.at, timeline.c.event, timeline.c.state,
                       timeline.c.attempt, timeline.c.data).order_by(timeline.c.job_id, timeline.c.seq)
            ):  # fmt: skip
                seq, at, event, state, attempt, data = entry
                timelines.setdefault(job, []).append(TimelineEntry(seq, at, Event(event), State(state), attempt, data))
        return rows, timelines

    @invariant()
    def every_timeline_is_a_path(self) -> None:
        rows, timelines = self.runner.run(self.everything())
        for row in rows:
            entries = timelines[row["id"]]
            check_path(entries)
            assert row["revision"] == len(entries)
            assert (row["state"], row["attempt"]) == (entries[-1].state, entries[-1].attempt)
            assert (row["lease_until"] is not None) == (row["state"] == "running")
            assert not (row["released_at"] and row["state"] not in {"queued", "retrying"})
            assert not (row["cancel_requested_at"] and row["state"] in {"queued", "retrying"})

    @invariant()
    def what_holds_jobs_is_counted(self) -> None:
        assert self.runner.run(self.book.scalar(COUNTED))


def check_path(entries: list[TimelineEntry]) -> None:
    """Hold a timeline against the state chart."""
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert (entries[0].event, entries[0].attempt) == (Event.ACCEPTED, 0)
    assert entries[0].state in {State.QUEUED, State.IN_REVIEW}
    retried = {entry.seq - 1 for entry in entries if entry.event is Event.RETRIED}
    assert all(entry.state not in FINISHED or entry.seq in retried for entry in entries[:-1])
    for before, after in pairwise(entries):
        if after.event in STAY_RUNNING:
            assert before.state is after.state is State.RUNNING
        elif after.event in PROMISES:
            assert before.state is after.state
            assert after.state not in FINISHED
        elif after.event in STAY_WAITING:
            assert before.state is after.state
            assert after.state in WAITING
        else:
            assert after.state in TRANSITIONS[before.state], (before, after)
            SEEN.add((before.state, after.state))
        assert after.attempt - before.attempt == (after.event is Event.STARTED)


def test_any_order_of_calls_leaves_only_timelines_that_the_chart_allows(database_url: str) -> None:
    SEEN.clear()

    class CallsHere(Calls):
        url = database_url

    run_state_machine_as_test(
        CallsHere,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            derandomize=True,  # the same calls each time, so that what they reach is known
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert len(SEEN) >= 6, "the calls no longer reach most of the chart"
