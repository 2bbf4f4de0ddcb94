"""Jobs are explained from what the ledger holds, a whole page at the price of one, whatever waits behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.tables import customers
from invoicing.diagnosis import foreseeing, service
from invoicing.diagnosis.model import margins
from invoicing.diagnosis.service import explain
from invoicing.diagnosis.tables import foreseen
from invoicing.jobs.kinds import JobKind
from invoicing.jobs.model import NEWS_WITHIN, Job, Standing, State
from invoicing.jobs.store.read import job_of
from invoicing.jobs.tables import attempts, jobs
from invoicing.kit.db import Session, make_engine
from invoicing.kit.ids import new_id
from invoicing.lanes import positions
from invoicing.lanes.positions import MOST
from invoicing.lanes.store import ALIVE_FOR, pause, register
from invoicing.lanes.tables import accounts, workers
from workers.kinds import drill

MOST_STATEMENTS = 6
KINDS: dict[str, JobKind] = {"drill": drill.KIND}


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def session(engine: AsyncEngine) -> AsyncIterator[Session]:
    async with engine.begin() as session:
        yield session


@pytest.fixture
async def customer(session: Session) -> UUID:
    customer_id = new_id()
    await session.execute(insert(customers).values(id=customer_id, slug="acme", name="Acme"))
    return customer_id


@pytest.fixture
def count_statements(engine: AsyncEngine) -> Callable[[], Any]:
    @contextmanager
    def counted() -> Iterator[list[str]]:
        seen: list[str] = []

        def note(*arguments: Any) -> None:
            seen.append(arguments[2])

        event.listen(engine.sync_engine, "before_cursor_execute", note)
        yield seen
        event.remove(engine.sync_engine, "before_cursor_execute", note)

    return counted


def ago(seconds: float) -> Any:
    return text(f"now() - interval '{seconds} s'")


async def add(session: Session, customer: UUID, count: int = 1, **columns: Any) -> list[UUID]:
    """Insert waiting jobs of the lane normal-small, unless said otherwise, each behind the one before."""
    ids = [new_id() for _ in range(count)]
    row: dict[str, Any] = {
        "customer_id": customer, "kind": "drill", "priority": "normal", "size": "small", "predicted_s": 0.5,
        "state": "queued", "promise_due": ago(-300), "order_at": ago(0),
    }  # fmt: skip
    for place in range(0, count, 100):
        await session.execute(insert(jobs).values([{**row, "id": one, **columns} for one in ids[place : place + 100]]))
    return ids


async def add_worker(session: Session, slots: int = 2) -> UUID:
    worker_id = new_id()
    lanes = ["normal-small", "normal-large"]
    await register(session, worker_id, "host-17", 4242, "build-9", slots, lanes, ["drill"])
    return worker_id


async def start(session: Session, job_id: UUID, worker_id: UUID, began: float, lease: float = 10) -> None:
    await session.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(state="running", attempt=1, worker_id=worker_id, started_at=ago(began), lease_until=ago(-lease))
    )
    await session.execute(insert(attempts).values(job_id=job_id, number=1, worker_id=worker_id, started_at=ago(began)))


async def finish(session: Session, customer: UUID, count: int, took: float, outcome: str = "succeeded") -> None:
    for job_id in await add(session, customer, count, state="succeeded", finished_at=ago(0), attempt=1):
        await session.execute(
            insert(attempts).values(
                job_id=job_id, number=1, worker_id=new_id(), started_at=ago(took), ended_at=ago(0), outcome=outcome
            )
        )


async def read(session: Session, ids: Sequence[UUID]) -> list[Job]:
    rows = await session.execute(select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id))
    return [job_of(row) for row in rows.mappings()]


async def standing(session: Session, job_id: UUID) -> Standing:
    return (await explain(session, await read(session, [job_id]), KINDS, fresh=True))[job_id]


async def cause_of(session: Session, job_id: UUID) -> str:
    cause = (await standing(session, job_id)).cause
    assert cause is not None
    return cause.code


async def test_a_job_without_a_worker_says_so_and_starts_when_one_comes(session: Session, customer: UUID) -> None:
    [job_id] = await add(session, customer)
    assert await cause_of(session, job_id) == "no_worker"
    worker_id = await add_worker(session)
    assert await cause_of(session, job_id) == "starting"
    silent = ago(ALIVE_FOR.total_seconds() + 1)
    await session.execute(update(workers).where(workers.c.id == worker_id).values(beat_at=silent))
    assert await cause_of(session, job_id) == "no_worker"


async def test_a_paused_lane_says_until_when_but_not_who(session: Session, customer: UUID) -> None:
    [job_id] = await add(session, customer)
    await add_worker(session)
    until = (await read(session, [job_id]))[0].submitted_at + timedelta(hours=1)
    await pause(session, "normal-small", until, "The database moves.", "Erika Mustermann")
    cause = (await standing(session, job_id)).cause
    assert cause is not None
    assert (cause.code, cause.next_update_by) == ("paused", until + NEWS_WITHIN)
    assert "Mustermann" not in repr(cause)


async def test_a_full_lane_counts_who_starts_before(session: Session, customer: UUID) -> None:
    worker_id = await add_worker(session)
    for job_id in await add(session, customer, 3):  # two slots, and the spare one for small jobs
        await start(session, job_id, worker_id, began=1)
    on_the_way = await add(session, customer, 2, released_at=ago(1))
    later = await add(session, customer, 3)
    [urgent] = await add(session, customer, order_at=ago(50))
    await add(session, customer, 5, size="large")
    await add(session, customer, 5, due_at=ago(-60), order_at=ago(60))
    told = await explain(session, await read(session, [*on_the_way, *later, urgent]), KINDS, fresh=True)
    assert [told[one].ahead for one in (*on_the_way, urgent, *later)] == [0, 1, 2, 3, 4, 5]
    cause = told[later[2]].cause
    assert cause is not None
    assert cause.message == "5 jobs are ahead of yours."
    assert cause.evidence == {"ahead": 5, "slots": 3, "free_slots": 0, "running": 3}


async def test_who_had_much_lets_others_go_first_and_both_are_told(session: Session, customer: UUID) -> None:
    other = new_id()
    await session.execute(insert(customers).values(id=other, slug="other", name="Other"))
    await add_worker(session)
    mine, [theirs] = await add(session, customer, 30), await add(session, other, order_at=ago(-60))
    told = await explain(session, await read(session, [*mine, theirs]), KINDS, fresh=True)
    assert told[theirs].ahead == 1
    await session.execute(insert(accounts).values([{"customer_id": customer, "served_s": 500.0},
                                                   {"customer_id": other, "served_s": 0.0}]))  # fmt: skip
    told = await explain(session, await read(session, [*mine, theirs]), KINDS, fresh=True)
    assert [told[theirs].ahead, told[mine[0]].ahead, told[mine[-1]].ahead] == [0, 1, 30]


async def test_a_customers_limit_is_named_with_its_own_jobs(session: Session, customer: UUID) -> None:
    await session.execute(update(customers).where(customers.c.id == customer).values(max_running=1))
    worker_id = await add_worker(session)
    [first, second] = await add(session, customer, 2)
    await start(session, first, worker_id, began=1)
    told = await standing(session, second)
    assert told.cause is not None
    assert told.cause.code == "customer_limit"
    assert told.cause.evidence == {"limit": 1, "running": 1, "about_to_start": 0, "jobs": (first,)}


async def test_a_parked_job_says_that_it_gave_way(session: Session, customer: UUID) -> None:
    worker_id = await add_worker(session, slots=1)
    [parked] = await add(
        session, customer, parked_at=ago(20), progress_done=12, progress_total=40, progress_unit="months"
    )
    for job_id in await add(session, customer, 2):
        await start(session, job_id, worker_id, began=1)
    told = await standing(session, parked)
    assert told.cause is not None
    assert told.cause.code == "lane_saturated"
    assert "12 of 40 months done" in told.cause.message


async def test_a_thousand_pollers_cost_one_look_at_the_backlog(
    engine: AsyncEngine, count_statements: Callable[[], Any]
) -> None:
    async with engine.begin() as session:
        customer_id = new_id()
        await session.execute(insert(customers).values(id=customer_id, slug="acme", name="Acme"))
        ids = await add(session, customer_id, 20)

    async def poll() -> int | None:
        async with engine.connect() as session:
            return (await explain(session, await read(session, ids[-1:]), KINDS))[ids[-1]].ahead

    with count_statements() as seen:
        told = await asyncio.gather(*(poll() for _ in range(200)))
    assert set(told) == {19}
    assert sum("FROM policies" in statement for statement in seen) <= 2


async def test_a_job_that_came_this_moment_is_found_soon(engine: AsyncEngine) -> None:
    async with engine.begin() as session:
        customer_id = new_id()
        await session.execute(insert(customers).values(id=customer_id, slug="acme", name="Acme"))
        [first] = await add(session, customer_id)
    async with engine.begin() as session:
        assert (await explain(session, await read(session, [first]), KINDS))[first].ahead == 0
        [second] = await add(session, customer_id)
    for _ in range(100):
        async with engine.begin() as session:
            if (await explain(session, await read(session, [second]), KINDS))[second].ahead == 1:
                return
        await asyncio.sleep(0.05)
    pytest.fail("the job has no place yet")


async def test_what_was_read_for_others_is_not_older_than_the_job_that_is_explained(engine: AsyncEngine) -> None:
    async with engine.begin() as session:
        customer_id = new_id()
        await session.execute(insert(customers).values(id=customer_id, slug="acme", name="Acme"))
    for _ in range(5):
        async with engine.begin() as session:
            [job_id] = await add(session, customer_id)
        async with engine.begin() as session:
            told = (await explain(session, await read(session, [job_id]), KINDS))[job_id]
        assert told.cause is not None
        assert told.cause.code == "no_worker", "before it was there, it would be due later"


async def test_behind_a_long_backlog_the_position_is_at_least(session: Session, customer: UUID) -> None:
    worker_id = await add_worker(session)
    for job_id in await add(session, customer, 2):
        await start(session, job_id, worker_id, began=1)
    last = (await add(session, customer, MOST + 20))[-1]
    told = await standing(session, last)
    assert told.cause is not None
    assert told.cause.message == f"At least {MOST:,} jobs are ahead of yours."
    assert told.eta is None


async def test_normal_times_come_from_jobs_like_it(session: Session, customer: UUID) -> None:
    await finish(session, customer, 20, took=4.0)
    await finish(session, customer, 20, took=900.0, outcome="lost")
    worker_id = await add_worker(session)
    [quick, slow] = await add(session, customer, 2)
    [other] = await add(session, customer, predicted_s=500, size="large")
    await start(session, quick, worker_id, began=3)
    await start(session, slow, worker_id, began=50)
    told = await explain(session, await read(session, [quick, slow, other]), KINDS)
    normal = told[quick].normal
    assert normal is not None
    assert normal.similar_jobs == 20
    assert normal.p50_s == pytest.approx(4, rel=0.05)
    assert [told[one].normal.verdict for one in (quick, slow, other)] == ["normal", "slow", "unknown"]  # type: ignore[union-attr]  # each has one
    assert await cause_of(session, slow) == "slower_than_normal"
    eta = told[quick].eta
    assert eta is not None
    assert eta.earliest <= eta.likely <= eta.latest


async def test_a_retry_tells_the_failure_the_count_and_the_time(session: Session, customer: UUID) -> None:
    error = {"code": "drill_failed", "message": "This drill fails."}
    [job_id] = await add(session, customer, state="retrying", failures=1, attempt=1, due_at=ago(-8), error=error)
    told = await standing(session, job_id)
    assert told.cause is not None
    assert told.cause.message.startswith("Attempt 1 of 3 failed (This drill fails.).")


async def test_a_page_costs_no_more_statements_than_one_job(
    session: Session, customer: UUID, count_statements: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(positions, "KEPT_S", 60.0)
    for kept in (service._WORKERS, service._LANES):
        monkeypatch.setattr(kept, "_good_for_s", 60.0)
    worker_id = await add_worker(session)
    ids = [one for state in ("normal", "bulk") for one in await add(session, customer, 100, priority=state)]
    for job_id in ids[:2]:
        await start(session, job_id, worker_id, began=1)
    page = await read(session, ids)
    await explain(session, page, KINDS)  # positions and what was learned are kept for a while
    with count_statements() as seen:
        told = await explain(session, page, KINDS)
    assert len(seen) <= MOST_STATEMENTS
    assert set(told) == set(ids)
    with count_statements() as again:
        await explain(session, page[-1:], KINDS)
    assert 0 < len(again) < len(seen)  # one waiting job has no attempt


async def test_a_finished_job_has_its_normal_times_and_no_cause(session: Session, customer: UUID) -> None:
    await finish(session, customer, 5, took=1.0)
    done = await session.scalar(select(jobs.c.id).where(jobs.c.state == State.SUCCEEDED).limit(1))
    assert done is not None
    told = await standing(session, done)
    assert (told.cause, told.eta, told.ahead) == (None, None, None)
    assert told.normal is not None
    assert told.normal.verdict == "normal"
    assert await explain(session, [], KINDS) == {}


async def test_foreseen_ends_are_scored_and_set_the_range_of_the_next_ones(
    session: Session, customer: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finish(session, customer, 20, took=2)
    worker_id = await add_worker(session, slots=8)
    ids = await add(session, customer, 3)
    for job_id in ids:
        await start(session, job_id, worker_id, began=0.1)
    assert await foreseeing.foresee_some(session) == 3
    for job_id, state in ((ids[0], "succeeded"), (ids[1], "dead")):
        over = {"state": state, "finished_at": ago(-6), "lease_until": None, "worker_id": None}
        await session.execute(update(jobs).where(jobs.c.id == job_id).values(**over))
    assert await foreseeing.foresee_some(session) == 1
    kept = {row.job_id: row.passed_s for row in await session.execute(select(foreseen))}
    assert set(kept) == {ids[0], ids[2]}
    assert kept[ids[0]] is not None
    assert kept[ids[2]] is None
    monkeypatch.setattr(margins, "FEWEST_CASES", 1)
    monkeypatch.setattr(service, "LEARN_AGAIN_AFTER_S", 0.0)
    eta = (await standing(session, ids[2])).eta
    assert eta is not None
    assert eta.confidence == margins.CONFIDENCE
    now = (await session.execute(select(func.now()))).scalar_one()
    taken_s = (eta.likely - now).total_seconds()
    assert taken_s == pytest.approx(6, abs=1), "the one that ended took six seconds where two were foreseen"
