"""What was kept long enough goes, with all that belongs to it; nothing else ever does."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from invoicing.jobs import retention
from invoicing.jobs import service as ledger
from invoicing.jobs.model import State
from invoicing.jobs.store import prune
from invoicing.kit.db import driver, transaction
from invoicing.kit.ids import new_id
from workers.retention import Swept

ENDS = ("succeeded", "succeeded_later", "dead", "cancelled")
DAY, YEAR = timedelta(days=1), timedelta(days=366)
Make = Callable[..., Any]


async def everything_of(archive: Any, job: UUID) -> dict[str, int]:
    """Count the rows of a job in every table that speaks of jobs."""
    async with archive.engine.connect() as session:
        tables = (
            await session.execute(
                text("SELECT table_name FROM information_schema.columns WHERE column_name = 'job_id' ORDER BY 1")
            )
        ).scalars()
        found = {"jobs": await session.scalar(text("SELECT count(*) FROM jobs WHERE id = :job"), {"job": job})}
        for table in tables:
            found[table] = await session.scalar(text(f"SELECT count(*) FROM {table} WHERE job_id = :job"), {"job": job})
    return found


@pytest.mark.parametrize("ended", ENDS)
async def test_a_finished_job_goes_after_its_time_and_leaves_nothing_behind(
    archive: Any, sweeper: Make, ended: str
) -> None:
    old, young = await archive.end(ended, 91 * DAY), await archive.end(ended, 89 * DAY)
    await archive.leave_files(old)
    before = await everything_of(archive, old)
    assert {"timeline", "payload_parts", "idempotency_keys", "artifacts", "artifact_parts", "checkpoints"} <= {
        table for table, rows in before.items() if rows
    }
    assert await sweeper().round() == Swept(jobs=1, keys=1, held=0)
    assert set((await everything_of(archive, old)).values()) == {0}
    assert await archive.jobs() == {young}
    assert await archive.timeline(young)


async def test_a_job_that_is_not_finished_stays_however_old_it_is(archive: Any, sweeper: Make) -> None:
    running, waiting = (await archive.start(new_id())).id, await archive.submit()
    for job in (waiting, running):
        await archive.age(job, 4000 * DAY)
    assert (await sweeper().round()).jobs == 0
    assert await archive.jobs() == {waiting, running}
    assert {row["state"] for row in await archive.rows()} <= {"queued", "running"}


async def test_an_issued_invoice_stays_ten_calendar_years_and_its_number_is_never_given_again(
    archive: Any, sweeper: Make
) -> None:
    old, number = await archive.issue(12 * YEAR)
    kept, _ = await archive.issue(9 * YEAR)
    refused = await archive.end("dead", 91 * DAY, "invoice.issue")
    assert number == "2026-000001"
    assert (await sweeper("invoice.issue=14y").round()).jobs == 1, "the request that was refused"
    assert await archive.jobs() == {old, kept}
    assert refused not in await archive.jobs()
    assert (await sweeper().round()).jobs == 1
    assert set((await everything_of(archive, old)).values()) == {0}
    assert await archive.jobs() == {kept}
    assert await archive.scalar("SELECT (last, removed)::text FROM number_series") == "(2,1)"
    assert (await archive.issue(0 * DAY))[1] == "2026-000003"


async def test_the_database_refuses_to_lose_an_issued_invoice_by_accident(archive: Any) -> None:
    job, _ = await archive.issue(0 * DAY)
    with pytest.raises(IntegrityError):
        await archive.do("DELETE FROM jobs WHERE id = :job", job=job)
    async with transaction(archive.engine) as session:
        with pytest.raises(IntegrityError):
            await prune.remove(session, [job])
    assert await archive.jobs() == {job}


async def test_a_number_that_was_not_used_stays_for_auditors_and_holds_up_nobody(archive: Any, sweeper: Make) -> None:
    odd = [(await archive.issue((500 - place) * DAY, issued=False))[0] for place in range(3)]
    others = [await archive.end("dead", (300 - place) * DAY, "invoice.issue") for place in range(3)]
    assert await sweeper(batch=2).round() == Swept(jobs=len(others), keys=3, held=len(odd))
    assert await archive.jobs() == set(odd)
    assert await archive.timeline(odd[0])


async def test_a_key_is_forgotten_after_30_days_and_its_job_is_not(archive: Any, sweeper: Make) -> None:
    remembered, forgotten = await archive.end(ago=29 * DAY), await archive.end(ago=31 * DAY)
    running = (await archive.start(new_id())).id
    await archive.age(running, 31 * DAY)
    assert await sweeper().round() == Swept(jobs=0, keys=2, held=0)
    assert await archive.jobs() == {remembered, forgotten, running}
    assert await archive.accept(archive.request(str(remembered))) == []
    assert len(await archive.accept(archive.request(str(forgotten)))) == 1


async def test_several_may_sweep_at_once(archive: Any, sweeper: Make) -> None:
    for place in range(20):
        await archive.issue((12 if place % 2 else 13) * YEAR)
        await archive.end(ENDS[place % 4], 100 * DAY)
    swept = await asyncio.gather(*(sweeper(batch=3).round() for _ in range(4)))
    assert sum(each.jobs for each in swept) == 40
    assert await archive.jobs() == set()
    assert await archive.scalar("SELECT (last, removed)::text FROM number_series") == "(20,20)"
    assert await archive.scalar("SELECT count(*) FROM timeline") == 0


async def test_a_dead_job_that_is_being_tried_again_is_passed_over(archive: Any, sweeper: Make) -> None:
    tried, gone = await archive.end("dead", 100 * DAY), await archive.end("dead", 99 * DAY)
    async with transaction(archive.engine) as session:
        found = await ledger.found(session, tried)
        assert found is not None
        assert await ledger.retry(session, found, ledger.Signed("ops", "ops:erika", "A test."), timedelta(0))
        assert (await sweeper().round()).jobs == 1
    assert await archive.jobs() == {tried} != {gone}
    assert (await sweeper().round()).jobs == 0
    assert (await archive.row(tried))["state"] == State.QUEUED


async def test_a_step_removes_no_more_parts_of_files_than_is_quickly_done(
    archive: Any, sweeper: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_PARTS", 5)
    jobs = [await archive.end(ago=(100 - place) * DAY) for place in range(4)]
    for job, parts in zip(jobs, (2, 2, 9, 1), strict=True):
        await archive.leave_files(job, parts)
    (rule,) = [one for one in sweeper()._rules() if one.kind.name == "drill" and one.ended is retention.Ended.SUCCEEDED]
    left = []
    for _ in jobs[1:]:
        async with transaction(archive.engine) as session:
            await retention.step(session, rule, None)
        left.append(await archive.jobs())
    assert left == [set(jobs[2:]), {jobs[3]}, set()]


@pytest.mark.parametrize(("ended", "index"), [("succeeded", "ix_jobs_similar"), ("unsuccessful", "ix_jobs_troubled")])
async def test_what_is_due_is_found_through_an_index_and_without_looking_at_what_is_kept(
    archive: Any, ended: str, index: str
) -> None:
    await archive.do(
        """
        INSERT INTO jobs (id, customer_id, kind, priority, size, predicted_s, state, order_at, promise_due, finished_at)
        SELECT gen_random_uuid(), :customer, (ARRAY['drill', 'invoice.issue'])[1 + n % 2], 'normal', 'small',
            (n % 7)::float / 3, (ARRAY['succeeded', 'succeeded', 'dead', 'cancelled'])[1 + n / 2 % 4], now(), now(),
            now() - n * interval '1 s'
        FROM generate_series(1, 20000) n
        """,
        customer=archive.customer_id,
    )
    async with archive.engine.connect() as session:
        autocommit = await session.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text("VACUUM ANALYZE jobs"))
    statement = prune._TAKE_DUE[prune.Ended(ended)].compile(dialect=archive.engine.dialect)
    asked = prune._asked("drill", await archive.scalar("SELECT now() - interval '20000 s'"), None, 200) | {"parts": 9}
    async with archive.engine.connect() as session:
        given = [asked[name] for name in statement.positiontup or ()]
        rows = await (await driver(session)).fetch(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", *given)
    plan = "\n".join(row[0] for row in rows)
    assert index in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "Rows Removed by Filter" not in plan, plan


async def test_messages_go_90_days_after_they_were_done_and_those_that_wait_stay(archive: Any, sweeper: Make) -> None:
    for state, days in (("delivered", 91), ("dead", 91), ("delivered", 89), ("waiting", 91)):
        await archive.do(
            """
            INSERT INTO messages (id, channel, endpoint_id, customer_id, event, body, state, finished_at)
            VALUES (:id, 'webhook', :id, :id, 'job.succeeded', '', :state,
                CASE WHEN :state <> 'waiting' THEN now() - make_interval(days => :days) END)
            """,
            id=new_id(), state=state, days=days,
        )  # fmt: skip
    await archive.do("INSERT INTO delivery_attempts (message_id, number) SELECT id, 1 FROM messages")
    assert (await sweeper().round()).messages == 2
    assert await archive.scalar("SELECT string_agg(state, ' ' ORDER BY state) FROM messages") == "delivered waiting"
    assert await archive.scalar("SELECT count(*) FROM delivery_attempts") == 2
