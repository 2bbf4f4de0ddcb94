"""The time of ended jobs is added up to the millisecond, each life once however often its job ends."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from invoicing.diagnosis import booking, sums
from invoicing.diagnosis.accounting import accounts, lives
from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.life import to_ms
from invoicing.diagnosis.store import clock
from invoicing.diagnosis.sums import By
from invoicing.jobs import service as ledger
from invoicing.jobs.model import Failed, JobError, Rejected, RetryPolicy, Succeeded
from invoicing.kit.db import make_engine, transaction

from ..book import Book

WORKER = uuid4()
NO = Rejected(JobError("bad_input", "No."))
HOURS = "extract(epoch FROM date_trunc('ms', {until}) - date_trunc('ms', {since})) * 1000"
LATER = RetryPolicy(max_attempts=9, first_delay=timedelta(hours=1), longest_delay=timedelta(hours=1))

LIVES = f"SELECT coalesce(sum({HOURS.format(until='finished_at', since='submitted_at')}), 0)::bigint FROM jobs"


@pytest.fixture
async def book(database_url: str) -> AsyncIterator[Book]:
    engine = make_engine(database_url)
    yield await Book.open(engine)
    await engine.dispose()


async def age(book: Book, job_id: UUID, by: timedelta) -> None:
    """Have everything that happened to a job have happened so much earlier."""
    for column in ("submitted_at", "started_at", "finished_at", "due_at"):
        await book.do(f"UPDATE jobs SET {column} = {column} - CAST(:by AS interval) WHERE id = :id", id=job_id, by=by)
    for table, columns in (("timeline", ("at",)), ("attempts", ("started_at", "ended_at"))):
        changed = ", ".join(f"{column} = {column} - CAST(:by AS interval)" for column in columns)
        await book.do(f"UPDATE {table} SET {changed} WHERE job_id = :id", id=job_id, by=by)


async def end(book: Book, outcome: Any, ago: timedelta = timedelta(minutes=1)) -> UUID:
    claim = await book.start(WORKER)
    assert await book.settle(claim, outcome)
    await age(book, claim.id, ago)
    return claim.id


async def add_up(book: Book, most: int = 200) -> int:
    """Add up all there is; gives how many jobs that were."""
    await book.do("UPDATE places SET at = least(at, now() - interval '1 h') WHERE name = 'waits' AND job_id IS NULL")
    found, more = 0, True
    while more:
        async with transaction(book.engine) as session:
            more = bool(now := await booking.book(session, most))
        found += now
    return found


async def total(book: Book) -> int:
    return int(await book.scalar("SELECT coalesce(sum(ms), 0)::bigint FROM waits"))


async def test_however_jobs_ended_their_lives_add_up_and_are_not_added_twice(book: Book) -> None:
    for outcome in (Succeeded({}), NO, Succeeded({}), NO, Succeeded({})):
        await end(book, outcome)
    waiting = await book.submit()
    await book.cancel(waiting)
    await age(book, waiting, timedelta(minutes=1))
    assert await add_up(book, most=2) == 6
    assert await total(book) == await book.scalar(LIVES)
    assert await add_up(book) == 0
    await end(book, Succeeded({}), timedelta(seconds=20))
    await book.submit()
    assert await add_up(book) == 1
    assert await total(book) == await book.scalar(LIVES)


async def test_what_has_just_ended_is_left_until_what_held_its_lane_is_known(book: Book) -> None:
    await end(book, Succeeded({}), timedelta(seconds=2))
    assert await add_up(book) == 0


@pytest.mark.parametrize("booked_between", [True, False])
async def test_a_dead_job_that_is_tried_again_is_added_up_once(book: Book, *, booked_between: bool) -> None:
    job_id = await end(book, NO, timedelta(minutes=2))
    if booked_between:
        assert await add_up(book) == 1
    async with transaction(book.engine) as session:
        job = await ledger.found(session, job_id)
        assert job is not None
        assert await ledger.retry(session, job, ledger.Signed("support", "x", "y"), timedelta(0))
    ((_, number),) = tickets = await book.release()
    (claim,) = await book.claim(WORKER, tickets)
    assert (number, claim.attempt) == (2, 2)
    assert await book.settle(claim, Succeeded({}))
    late = "UPDATE {} SET {} = {} - interval '30 s' WHERE {} = :id"
    await book.do(late.format("jobs", "finished_at", "finished_at", "id"), id=job_id)
    assert await add_up(book) == 1
    assert await total(book) == await book.scalar(LIVES)


async def test_sums_are_told_by_lane_customer_cause_and_day(book: Book) -> None:
    job_id = await end(book, Succeeded({}), timedelta(minutes=1))
    await book.do(
        "UPDATE jobs SET submitted_at = date_trunc('day', finished_at) - interval '1 h' WHERE id = :id", id=job_id
    )
    await book.do(
        "UPDATE timeline SET at = date_trunc('day', at) - interval '1 h' WHERE job_id = :id AND seq = 1", id=job_id
    )
    assert await add_up(book) == 1
    first, last = await book.scalar("SELECT ARRAY[min(day), max(day)] FROM waits")
    assert last - first == timedelta(days=1)

    async def told(by: By, **only: Any) -> dict[str, dict[str, int]]:
        async with book.engine.connect() as session:
            found = await sums.spent(session, by, first, last, 9, **{"lane": None, "customer": None, **only})
        return {one.key: dict(one.ms) for one in found}

    whole = (await told(By.LANE))["normal-small"]
    assert next(iter(whole)) == "unexplained"
    assert sum(whole.values()) == await book.scalar(LIVES)
    assert await told(By.CUSTOMER) == {"acme": whole}
    assert {key: causes[key] for key, causes in (await told(By.CAUSE)).items()} == whole
    days = await told(By.DAY)
    assert sum(days[str(first)].values()) == 3_600_000
    assert sum(sum(causes.values()) for causes in days.values()) == sum(whole.values())
    assert await told(By.LANE, customer="nobody") == {} == await told(By.LANE, lane="urgent-huge")


async def test_time_in_which_something_outside_was_down_is_booked_on_that_to_the_moment(book: Book) -> None:
    down = Failed(JobError("gate_down", "It does not answer."), dependency="gate")
    for _ in range(3):
        assert await book.settle(await book.start(WORKER, needs="gate"), down, LATER)
    waits = await book.submit(seconds=0.5, needs="gate post")
    other = await book.submit(seconds=0.5, needs="post")
    for job_id in (waits, other):
        await age(book, job_id, timedelta(seconds=100))
    await book.do("UPDATE outages SET since = now() - interval '80 s', until = now() - interval '30 s'")
    async with transaction(book.engine) as session:
        jobs = await ledger.anybodys(session, [waits, other])
        found = {one.job_id: one for one in await lives(session, jobs)}
        now = await clock(session)
        parts, others = await accounts(session, [found[waits], found[other]], now)
    assert [(part.cause, round(part.ms / 1000)) for part in parts if part.cause is Code.DEPENDENCY_DOWN] == [
        (Code.DEPENDENCY_DOWN, 50)
    ]
    assert next(part.evidence for part in parts if part.cause is Code.DEPENDENCY_DOWN) == {"dependency": "the gate"}
    assert Code.DEPENDENCY_DOWN not in {part.cause for part in others}
    await book.do("UPDATE outages SET until = NULL")
    async with transaction(book.engine) as session:
        (still,) = await accounts(session, [found[waits]], now)
        await ledger.forget_outages(session)
    assert (still[-1].cause, still[-1].until) == (Code.DEPENDENCY_DOWN, to_ms(now))
    assert await book.scalar("SELECT count(*) FROM outages") == 1
