"""Why: every cause with what happens next, and an account of the job's whole life, for its customer and our staff."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.diagnosis import observing
from invoicing.diagnosis.accounting import why
from invoicing.diagnosis.api.why import MOST_INTERVALS
from invoicing.diagnosis.model.life import length_ms, to_ms
from invoicing.jobs import service as ledger
from invoicing.jobs.model import NEWS_WITHIN, Failed, JobError
from invoicing.kit.db import transaction

LATER = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
MOST_STATEMENTS = 8
"""Of one look at a job that runs; a waiting one has those of its place in front."""


@contextmanager
def counted(engine: AsyncEngine) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        seen.append(arguments[2])

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine.sync_engine, "before_cursor_execute", note)


async def asked(client: Any, job_id: str, **more: Any) -> dict[str, Any]:
    answer = await client.get(f"/v1/jobs/{job_id}/why", **more)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def at(text_: str) -> datetime:
    return to_ms(datetime.fromisoformat(text_))


def balanced(job: dict[str, Any], told: dict[str, Any]) -> dict[str, float]:
    """Check that an account is the job's whole life; gives its totals."""
    account = told["account"]
    end = job["finished_at"] or told["observed_at"]
    life_ms = length_ms(at(job["submitted_at"]), at(end))
    assert round(account["seconds"] * 1000) == life_ms
    assert sum(round(part["seconds"] * 1000) for part in account["intervals"]) == life_ms
    assert sum(round(seconds * 1000) for seconds in account["totals"].values()) == life_ms
    ends = [part["until"] for part in account["intervals"]]
    assert [part["since"] for part in account["intervals"]] == [account["since"], *ends[:-1]][: len(ends)]
    return dict(account["totals"])


async def age(service: Any, job_id: str, seconds: float) -> None:
    """Have everything that happened to a job have happened so much earlier."""
    moved = {"id": job_id, "by": timedelta(seconds=seconds)}
    columns = {
        "jobs": ("submitted_at", "started_at", "finished_at", "due_at", "order_at"),
        "timeline": ("at",),
        "attempts": ("started_at", "ended_at"),
    }
    async with transaction(service.engine) as session:
        for table, names in columns.items():
            key = "id" if table == "jobs" else "job_id"
            changed = ", ".join(f"{name} = {name} - CAST(:by AS interval)" for name in names)
            await session.execute(text(f"UPDATE {table} SET {changed} WHERE {key} = :id"), moved)


async def test_a_waiting_job_says_what_holds_what_comes_next_and_who_can_act(service: Any) -> None:
    job = await service.acme.job()
    assert (await service.ops.post("/v1/lanes/normal-small:pause", json={"until": LATER, "reason": "Leak."})).is_success
    told = await asked(service.acme, job["id"])
    assert [cause["code"] for cause in told["causes"]] == ["paused", "no_worker"]
    first = told["causes"][0]
    assert first["evidence"]["reason"] == "Leak."
    assert first["next"].startswith("At ")
    assert first["who"].startswith("We may let it go on earlier.")
    assert datetime.fromisoformat(first["next_update_by"]) == datetime.fromisoformat(first["until"]) + NEWS_WITHIN
    assert told["checks"] is None
    assert set(balanced(job, told)) <= {"paused", "starting"}
    german = await asked(service.acme, job["id"], headers={"Accept-Language": "de"})
    assert german["causes"][0]["next"] != first["next"]


async def test_our_staff_see_every_rule_that_was_asked_and_customers_their_own_jobs_alone(service: Any) -> None:
    job = await service.acme.job()
    for client in (service.support, service.ops):
        told = await asked(client, job["id"])
        answers = {check["code"]: check["answer"] for check in told["checks"]}
        assert (answers["no_worker"], answers["no_capable_worker"], answers["paused"]) == (
            "holds", "unknown", "does_not_hold",
        )  # fmt: skip
        assert "Operations: start workers" in told["causes"][0]["who"]
    assert (await service.other.get(f"/v1/jobs/{job['id']}/why")).status_code == 404
    assert (await service.support.get(f"/v1/jobs/{UUID(int=7)}/why")).status_code == 404
    assert (await service.acme.get("/v1/jobs/nonsense/why")).status_code == 404


async def test_a_finished_job_has_its_account_for_as_long_as_it_is_kept(service: Any) -> None:
    job = await service.acme.job()
    await age(service, job["id"], 100)
    await service.hand.start(job["id"])
    await age(service, job["id"], 200)
    await service.hand.end(job["id"])
    await age(service, job["id"], 90 * 86_400)
    done = (await service.acme.get(f"/v1/jobs/{job['id']}")).json()
    told = await asked(service.acme, job["id"])
    assert told["causes"] == []
    totals = balanced(done, told)
    assert list(totals) == ["no_progress", "unexplained", "starting"]  # nobody watched then, and it never reported
    assert totals["no_progress"] >= 200
    assert told["account"]["intervals"][0]["lane"] == "normal-small"


async def test_what_held_the_lane_is_in_the_account_long_after_it_ended(service: Any) -> None:
    job = await service.acme.job()
    await age(service, job["id"], 100)
    conditions = text("""
        INSERT INTO conditions (scope, cause, since, until, evidence) VALUES
        ('normal-small', 'lane_saturated', now() - interval '200 s', now() - interval '40 s', '{"slots": 2}'),
        ('bulk-small', 'no_worker', now() - interval '200 s', NULL, '{}'),
        ('normal-small', 'no_worker', now() - interval '70 s', now() - interval '50 s', '{"workers": 0}')
    """)
    async with transaction(service.engine) as session:
        await session.execute(conditions)
        await session.execute(text("UPDATE places SET at = now()"))
    told = await asked(service.acme, job["id"])
    totals = balanced((await service.acme.get(f"/v1/jobs/{job['id']}")).json(), told)
    assert list(totals) == ["lane_saturated", "unexplained", "no_worker", "starting"]
    assert (round(totals["no_worker"]), totals["starting"]) == (20, 5)
    assert told["account"]["intervals"][1]["evidence"] == {"workers": 0}


async def test_a_retry_is_booked_until_it_is_due(service: Any) -> None:
    job = await service.acme.job()
    await service.hand.start(job["id"])
    await service.hand.end(job["id"], Failed(JobError("broken", "It broke."), retry_after=timedelta(seconds=30)))
    told = await asked(service.acme, job["id"])
    assert told["causes"][0]["code"] == "retry_backoff"
    last = told["account"]["intervals"][-1]
    assert (last["cause"], at(last["evidence"]["next_attempt_at"])) == ("retry_backoff", at(told["causes"][0]["until"]))
    await age(service, job["id"], 60)
    later = await asked(service.acme, job["id"])
    assert round(later["account"]["totals"]["retry_backoff"]) == 30


async def test_why_costs_the_same_number_of_statements_whatever_a_job_has_behind_it(service: Any) -> None:
    job_id = UUID((await service.acme.job())["id"])
    await service.hand.start(str(job_id))
    rows = text("""
        INSERT INTO timeline (job_id, seq, at, event, state, attempt)
        SELECT :id, n, now() - interval '1 h' + n * interval '1 s', CASE n % 2 WHEN 0 THEN 'started' ELSE 'parked' END,
            CASE n % 2 WHEN 0 THEN 'running' ELSE 'queued' END, n / 2 FROM generate_series(3, 3000) AS n
    """)

    async def look() -> int:
        async with service.engine.connect() as session:
            (job,) = await ledger.anybodys(session, [job_id])
            with counted(service.engine) as seen:
                await why(session, job)
        return len(seen)

    await look()  # what was learned is kept for a while
    few = await look()
    async with transaction(service.engine) as session:
        await session.execute(rows, {"id": job_id})
        await session.execute(text("UPDATE jobs SET revision = 3000, submitted_at = now() - interval '1 h'"))
        await session.execute(text("UPDATE timeline SET at = now() - interval '1 h' WHERE seq < 3"))
        await observing.observe(session, {})
    assert await look() == few <= MOST_STATEMENTS
    job = (await service.acme.get(f"/v1/jobs/{job_id}")).json()
    account = (await asked(service.acme, str(job_id)))["account"]
    listed_ms = sum(round(part["seconds"] * 1000) for part in account["intervals"])
    assert (len(account["intervals"]), at(account["since"])) == (MOST_INTERVALS, at(job["submitted_at"]))
    assert round(account["earlier"]["seconds"] * 1000) + listed_ms == round(account["seconds"] * 1000)
    assert account["earlier"]["until"] == account["intervals"][0]["since"]
