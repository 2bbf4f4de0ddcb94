"""What finished is learned from once, what runs too long at once, and where nothing happened nothing is written."""

import asyncio
from datetime import timedelta
from math import log
from uuid import UUID, uuid4

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.service import ensure_customer
from invoicing.jobs import service as ledger
from invoicing.jobs.model import (
    Claim,
    Event,
    Interrupted,
    JobError,
    Priority,
    Rejected,
    Settlement,
    Size,
    Succeeded,
    judge,
)
from invoicing.kit.db import driver, transaction
from invoicing.lanes import learned
from invoicing.lanes.learning import Lesson, learn_on
from invoicing.lanes.model import POLICY
from invoicing.lanes.policies import change, policy_for
from invoicing.lanes.prediction import Predictor

from ..book import SOON, Book

WORKER = uuid4()
LANES = tuple((Priority.NORMAL, size) for size in Size)


async def other(book: Book, code: str) -> Book:
    """Add another customer."""
    async with transaction(book.engine) as session:
        return Book(book.engine, (await ensure_customer(session, code, code)).id)


async def started(book: Book, count: int = 1, claimed_s: float = 0.3) -> list[Claim]:
    """Start jobs that claim to take so long."""
    await book.accept(*(book.request(claimed_seconds=claimed_s) for _ in range(count)))
    tickets = [ticket for lane in LANES for ticket in await book.release(count, lane)]
    return await book.claim(WORKER, tickets)


async def aged(book: Book, claims: list[Claim], seconds: float) -> None:
    """Let attempts have begun so long ago."""
    await book.do(
        "UPDATE attempts SET started_at = now() - CAST(:age AS interval) WHERE job_id = ANY(:ids) AND ended_at IS NULL",
        ids=[claim.id for claim in claims], age=timedelta(seconds=seconds),
    )  # fmt: skip


async def long_ago(book: Book) -> None:
    """Let what finished have finished a little earlier than the learner's lag."""
    await book.do(
        "UPDATE jobs SET finished_at = finished_at - interval '5 s' WHERE finished_at > now() - interval '5 s'"
    )


async def worked(book: Book, count: int, seconds: float, claimed_s: float = 0.3) -> list[Claim]:
    """Have jobs finished that took so long."""
    claims = await started(book, count, claimed_s)
    for claim in claims:
        assert await book.settle(claim, Succeeded({}))
    await book.do(
        "UPDATE attempts SET started_at = ended_at - CAST(:age AS interval) WHERE job_id = ANY(:ids)",
        ids=[claim.id for claim in claims], age=timedelta(seconds=seconds),
    )  # fmt: skip
    await long_ago(book)
    return claims


async def learn(engine: AsyncEngine) -> Lesson:
    async with transaction(engine) as session:
        return await learn_on(session)


async def predicted(book: Book, estimated_s: float = 0.3, kind: str = "drill") -> float:
    """Predict as a web process that has just started."""
    predictor = Predictor()
    async with book.engine.connect() as session:
        await predictor.refresh(session)
    return predictor.predicted(kind, book.customer_id, estimated_s)


async def jobs_learned(book: Book, kind: str = "drill", customer: UUID = learned.WHOLE_KIND) -> int:
    statement = "SELECT (learned->>'jobs')::int FROM size_models WHERE kind = :kind AND customer_id = :customer"
    return int(await book.scalar(statement, kind=kind, customer=customer) or 0)


async def test_finished_jobs_are_learned_from_once(book: Book, engine: AsyncEngine) -> None:
    await worked(book, 5, 30.0)
    assert (await learn(engine)).jobs == 5
    assert (await learn(engine)).jobs == 0
    await worked(book, 2, 30.0)
    assert (await learn(engine)).jobs == 2
    assert await jobs_learned(book) == await jobs_learned(book, customer=book.customer_id) == 7


async def test_a_learner_that_crashes_leaves_nothing_half_learned(book: Book, engine: AsyncEngine) -> None:
    await worked(book, 3, 30.0)
    async with engine.connect() as session:
        assert (await learn_on(session)).jobs == 3  # and is gone before the commit
    assert await jobs_learned(book) == 0
    assert (await learn(engine)).jobs == 3
    assert await jobs_learned(book) == 3


async def test_two_learners_at_once_learn_no_job_twice(book: Book, engine: AsyncEngine) -> None:
    await worked(book, 3, 30.0)
    async with transaction(engine) as session:
        assert (await learn_on(session)).jobs == 3
        assert await learn(engine) == Lesson()
    assert (await learn(engine)).jobs == 0
    assert await jobs_learned(book) == 3


async def test_many_that_finish_in_the_same_instant_are_read_in_pieces_and_none_is_missed(
    book: Book, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invoicing.lanes.learning.MOST_AT_ONCE", 3)
    await worked(book, 8, 30.0)
    await book.do("UPDATE jobs SET finished_at = date_trunc('hour', now())")
    lessons = [await learn(engine) for _ in range(4)]
    assert [lesson.jobs for lesson in lessons] == [3, 3, 2, 0]
    assert [lesson.more for lesson in lessons] == [True, True, False, False]
    assert await jobs_learned(book) == 8


async def test_a_job_whose_settling_commits_late_is_not_missed(book: Book, engine: AsyncEngine) -> None:
    (late,) = await started(book)
    settlement = Settlement(late.id, late.attempt, judge(Succeeded({}), 0, SOON, 0.0))
    async with engine.connect() as session:
        connection = await driver(session)
        await connection.execute("BEGIN")
        assert await ledger.settle(connection, [settlement])
        await worked(book, 2, 1.0)
        await book.do("UPDATE jobs SET finished_at = now() WHERE state = 'succeeded'")  # after the late one began
        await asyncio.sleep(1.2)  # longer than the lag
        assert (await learn(engine)).jobs == 0
        await connection.execute("COMMIT")
    assert (await learn(engine)).jobs == 3
    assert (await learn(engine)).jobs == 0


async def test_nothing_is_written_where_nothing_finished(book: Book, engine: AsyncEngine) -> None:
    await worked(book, 3, 30.0)
    await learn(engine)
    rows = "SELECT array_agg(xmin::text || ctid::text ORDER BY 1) FROM {}"
    before = [await book.scalar(rows.format(table)) for table in ("size_models", "learning")]
    for _ in range(3):
        async with transaction(engine) as session:
            assert await learn_on(session) == Lesson()
            connection = await driver(session)
            assert await connection.fetchval("SELECT pg_current_xact_id_if_assigned()") is None
    assert [await book.scalar(rows.format(table)) for table in ("size_models", "learning")] == before


async def test_of_many_alike_the_last_few_are_learned_from_and_all_are_counted(
    book: Book, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invoicing.lanes.learning.MOST_OF_EACH", 4)
    rare = await other(book, "rare")
    await worked(rare, 1, 30.0)
    await worked(book, 40, 30.0)
    lesson = await learn(engine)
    assert (lesson.jobs, lesson.learned) == (41, 5)
    assert await jobs_learned(book, customer=rare.customer_id) == 1
    assert await book.scalar("SELECT (state->'load'->>'jobs')::float8 FROM learning") == pytest.approx(41)
    assert (await learn(engine)).jobs == 0


async def test_who_lies_about_sizes_shifts_their_own_estimates_and_nobody_elses(
    book: Book, engine: AsyncEngine
) -> None:
    honest = await other(book, "honest")
    await worked(honest, 30, 0.3)
    await worked(book, 4, 300.0)
    await learn(engine)
    assert POLICY.cutoffs.classify(await predicted(book)) is Size.LARGE
    assert await predicted(honest) == pytest.approx(0.3, rel=0.3)
    assert await predicted(await other(book, "newcomer")) < 1.0
    assert await predicted(book, kind="another") == 0.3


async def test_work_is_counted_over_all_attempts_and_lost_ones_are_passed_over(book: Book, engine: AsyncEngine) -> None:
    (parked,) = await started(book, claimed_s=10.0)
    await aged(book, [parked], 60.0)
    await book.settle(parked, Interrupted("yield"))
    (again,) = await book.claim(WORKER, await book.release(1, (Priority.NORMAL, Size.MEDIUM)))
    await aged(book, [again], 40.0)
    await book.settle(again, Succeeded({}))
    (lost,) = await started(book, claimed_s=10.0)
    await aged(book, [lost], 5_000.0)
    await book.lose(lost.id)
    (after,) = await book.claim(WORKER, await book.release(1, (Priority.NORMAL, Size.MEDIUM)))
    await book.settle(after, Succeeded({}))
    await long_ago(book)
    assert (await learn(engine)).jobs == 2
    async with engine.connect() as session:
        _, customers = await learned.models(session, [("drill", book.customer_id)])
    (seen,) = customers["drill", book.customer_id].last
    assert (seen.x, seen.off) == pytest.approx((log(10), log(100 / 10)), abs=0.01)


async def overrun(book: Book, claims: list[Claim], seconds: float, size: Size) -> None:
    """Let running jobs have run so long, and be re-classed for it."""
    await aged(book, claims, seconds)
    for claim in claims:
        async with transaction(book.engine) as session:
            assert await ledger.reclass(session, claim.id, claim.attempt, size)


async def test_jobs_that_outlive_their_class_count_while_they_run(book: Book, engine: AsyncEngine) -> None:
    claims = await started(book, 4)
    await aged(book, claims, 60.0)
    assert await learn(engine) == Lesson()  # nobody has re-classed them: they may still wait for their child
    await overrun(book, claims, 60.0, Size.LARGE)
    assert (await learn(engine)).late == 4
    assert await predicted(book) > 20
    assert not (await learn(engine)).wrote  # a second later they say nothing new
    honest = await other(book, "honest")
    assert await predicted(honest) == 0.3


async def test_a_late_job_is_late_as_it_waits_and_counts_once_when_it_is_done(book: Book, engine: AsyncEngine) -> None:
    claims = await started(book, 4)
    await overrun(book, claims, 60.0, Size.LARGE)
    await learn(engine)
    for claim in claims[:3]:
        await book.settle(claim, Succeeded({}))
    assert await book.settle(claims[3], Interrupted("yield", Size.LARGE))
    assert (await learn(engine)).jobs == 0  # too young to be read, and kept in mind
    assert await predicted(book) > 20
    await long_ago(book)
    lesson = await learn(engine)
    assert (lesson.jobs, lesson.late) == (3, 1)
    assert await jobs_learned(book) == 3
    assert await predicted(book) > 20


async def test_jobs_that_wait_are_moved_as_soon_as_their_like_turn_out_late(book: Book, engine: AsyncEngine) -> None:
    honest = await other(book, "honest")
    claims = await started(book, 4)
    waiting = [await book.submit(claimed_seconds=0.3), await book.submit(claimed_seconds=0.3)]
    theirs, larger = await honest.submit(claimed_seconds=0.3), await book.submit(claimed_seconds=5_000)
    (on_runway,) = await book.release(1)
    await overrun(book, claims, 60.0, Size.LARGE)
    assert (await learn(engine)).resized == 2
    for job_id in waiting:
        row = await book.row(job_id)
        assert (row["size"], row["released_at"], row["revision"]) == ("large", None, 2)
        assert row["order_at"] - row["submitted_at"] == POLICY.due_after(Priority.NORMAL, Size.LARGE)
        assert (row["estimated_s"], row["predicted_s"] > 30) == (0.3, True)
        assert await book.events(job_id) == [Event.ACCEPTED, Event.RECLASSED]
    assert await book.claim(WORKER, [on_runway]) == []
    assert ((await book.row(theirs))["size"], (await book.row(larger))["size"]) == ("small", "huge")
    assert not (await learn(engine)).wrote


async def test_late_jobs_that_are_killed_in_the_end_are_remembered(book: Book, engine: AsyncEngine) -> None:
    claims = await started(book, 4)
    await overrun(book, claims, 60.0, Size.LARGE)
    await learn(engine)
    for claim in claims:
        await book.settle(claim, Rejected(JobError("timeout", "Too long.")))
    lesson = await learn(engine)
    assert (lesson.late, lesson.wrote) == (0, True)
    assert await predicted(book) > 20
    assert not (await learn(engine)).wrote


async def test_a_web_process_takes_over_what_is_learned_later(book: Book, engine: AsyncEngine) -> None:
    predictor = Predictor()
    async with engine.connect() as session:
        await predictor.refresh(session)
    assert predictor.correction("drill", book.customer_id) is None
    placed = predictor.place("drill", book.customer_id, 0.3, Priority.NORMAL)
    assert (placed.size, placed.predicted_s) == (Size.SMALL, 0.3)
    await worked(book, 5, 300.0)
    await learn(engine)
    async with engine.connect() as session:
        await predictor.refresh(session)
    placed = predictor.place("drill", book.customer_id, 0.3, Priority.NORMAL)
    assert placed.size is Size.LARGE
    assert placed.order_delay == POLICY.due_after(Priority.NORMAL, Size.LARGE)
    correction = predictor.correction("drill", book.customer_id)
    assert correction is not None
    assert (correction.jobs, correction.own_jobs) == (5, 5)
    assert correction.own_p50 > 500


async def hours_pass(book: Book) -> None:
    statement = (
        "UPDATE learning SET state = jsonb_set(state, '{moved_at}', to_jsonb((state->>'moved_at')::float8 - 3600))"
    )
    await book.do(f"{statement} WHERE name = 'sizes'")


async def test_cutoffs_follow_the_load_slowly_and_are_a_part_of_the_policy(book: Book, engine: AsyncEngine) -> None:
    await worked(book, 250, 0.05, claimed_s=0.05)
    await learn(engine)
    async with engine.connect() as session:
        assert (await policy_for(session)).cutoffs == POLICY.cutoffs
    for most in (1.0, 1 / 1.1):
        await hours_pass(book)
        await worked(book, 1, 0.05, claimed_s=0.05)
        await learn(engine)
        async with engine.connect() as session:
            cutoffs = (await policy_for(session)).cutoffs
        assert most / 1.1001 <= cutoffs.small_s < most
        assert cutoffs.medium_s == pytest.approx(30 * cutoffs.small_s)


async def test_pinned_cutoffs_stay_where_they_are(book: Book, engine: AsyncEngine) -> None:
    async with transaction(engine) as session:
        await change(session, {"cutoffs": {"small_s": 2}}, "ops", "small is what takes two seconds")
    await worked(book, 250, 0.05, claimed_s=0.05)
    await learn(engine)
    await hours_pass(book)
    await worked(book, 1, 0.05, claimed_s=0.05)
    await learn(engine)
    async with engine.connect() as session:
        cutoffs = (await policy_for(session)).cutoffs
    assert cutoffs.small_s == 2
    assert cutoffs.medium_s < 30


@pytest.mark.parametrize("statement", [learned._FINISHED, learned._OVERDUE], ids=["finished", "overdue"])
async def test_what_is_learned_from_is_found_by_index(engine: AsyncEngine, statement: TextClause) -> None:
    place = learned.Place()
    values = {"finished_at": place.finished_at, "id": place.id, "horizon": place.finished_at}
    values |= {"most": 5, "of_each": 5, "learned": 5}
    if statement is learned._OVERDUE:
        values = {"sizes": ["small"], "outgrown": [], "small_s": 1.0, "medium_s": 2.0, "large_s": 3.0}
    async with engine.connect() as session:
        await session.execute(text("SET enable_seqscan = off"))
        plan = "\n".join((await session.execute(text(f"EXPLAIN {statement.text}"), values)).scalars())
    assert "Seq Scan" not in plan
