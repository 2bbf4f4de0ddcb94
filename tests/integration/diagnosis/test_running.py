"""When a job should end is told by others that run, too, as long as they move; a lost worker is told, and no work."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from invoicing.customers.tables import customers
from invoicing.diagnosis import service, store
from invoicing.jobs.tables import attempts, jobs, losses
from invoicing.kit.db import Session, make_engine
from invoicing.kit.ids import new_id

from .test_explain import add, add_worker, ago, finish, standing, start


@pytest.fixture
async def session(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Session]:
    monkeypatch.setattr(service, "LEARN_AGAIN_AFTER_S", 0.0)
    engine = make_engine(database_url)
    async with engine.begin() as session:
        await session.execute(insert(customers).values(id=new_id(), slug="acme", name="Acme"))
        yield session
    await engine.dispose()


async def owner(session: Session) -> UUID:
    found: UUID = (await session.execute(select(customers.c.id))).scalar_one()
    return found


async def likely_s(session: Session, job_id: UUID) -> float:
    """Give the seconds from now to a job's likely end."""
    eta = (await standing(session, job_id)).eta
    assert eta is not None
    return (eta.likely - await store.clock(session)).total_seconds()


async def test_others_that_run_put_off_the_likely_end_but_not_those_that_hang(session: Session) -> None:
    worker = await add_worker(session, slots=20)
    await finish(session, await owner(session), 4, took=0.6)
    asked, *others = await add(session, await owner(session), 9)
    await start(session, asked, worker, began=0.5)
    before = await likely_s(session, asked)
    for job_id in others:
        await start(session, job_id, worker, began=20)
    assert await likely_s(session, asked) > 3 * before
    await session.execute(update(attempts).where(attempts.c.job_id.in_(others)).values(started_at=ago(500)))
    assert await likely_s(session, asked) == pytest.approx(before, rel=0.05)


async def test_work_that_was_kept_counts_and_a_job_that_failed_or_was_lost_says_nothing(session: Session) -> None:
    worker = await add_worker(session, slots=20)
    ids = await add(session, await owner(session), 5)
    went_on, failed, lost, cancelled, silent = ids
    for job_id in ids:
        await start(session, job_id, worker, began=30)
    for job_id, outcome in ((went_on, "interrupted"), (failed, "failed")):
        await session.execute(update(attempts).where(attempts.c.job_id == job_id).values(number=2))
        await session.execute(update(jobs).where(jobs.c.id == job_id).values(attempt=2))
        earlier = {"job_id": job_id, "number": 1, "worker_id": worker, "outcome": outcome}
        await session.execute(insert(attempts).values(started_at=ago(100), ended_at=ago(90), **earlier))
    await session.execute(update(jobs).where(jobs.c.id == lost).values(lease_until=ago(1)))
    await session.execute(update(jobs).where(jobs.c.id == cancelled).values(cancel_requested_at=ago(1)))
    await session.execute(update(jobs).where(jobs.c.id == silent).values(progressed_at=ago(10), revision=8))
    found = {one.job.job_id: one for one in await store.running(session)}
    assert set(found) == {went_on, silent}
    assert found[went_on].job.worked_s == pytest.approx(40)
    assert found[went_on].silent_s == pytest.approx(30)
    assert found[went_on].gap_s is None
    assert found[silent].silent_s == pytest.approx(10)
    assert found[silent].gap_s == pytest.approx(20 / 5)


async def test_a_job_whose_lease_is_over_has_lost_its_worker(session: Session) -> None:
    worker_id = await add_worker(session)
    [job_id] = await add(session, await owner(session))
    await start(session, job_id, worker_id, began=30, lease=-1)
    told = await standing(session, job_id)
    assert told.cause is not None
    assert told.cause.code == "worker_lost"
    assert str(worker_id) not in repr(told.cause)


async def test_the_time_for_which_a_lost_worker_was_missed_is_none_that_the_work_took(session: Session) -> None:
    worker = await add_worker(session)
    [job_id] = await add(session, await owner(session))
    await start(session, job_id, worker, began=15)
    await session.execute(insert(losses).values(job_id=job_id, attempt=1, worker_id=worker, heard_at=ago(13)))
    await session.execute(update(attempts).values(ended_at=ago(2), outcome="lost"))
    await session.execute(insert(attempts).values(job_id=job_id, number=2, worker_id=worker, started_at=ago(0)))
    reported = {"progress_done": 1, "progress_total": 10, "progress_unit": "chunks", "progressed_at": ago(14)}
    await session.execute(update(jobs).values(attempt=2, **reported))
    assert await likely_s(session, job_id) == pytest.approx(18, abs=1), "a tenth took two seconds, not thirteen"
