"""An incident's customers are told once when it touches them, when its estimate moves, and how it ended for them."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from invoicing.customers.model import Principal, Role
from invoicing.incidents import service
from invoicing.incidents.model.acts import Estimate, Merge, Wish
from invoicing.incidents.model.causes import Cause, kind_scope, lane_scope
from invoicing.incidents.model.course import opened
from invoicing.incidents.model.incident import Finding, Incident, Reach
from invoicing.incidents.store import rows
from invoicing.jobs.model import Failed, JobError, Priority, RetryPolicy, Size, Succeeded
from invoicing.kit.db import transaction
from invoicing.kit.ids import new_id
from invoicing.lanes.model import Lane
from invoicing.outbox import publishing
from workers.herald import Herald

from ..book import Book
from ..ledger.test_schema import explained, many
from .conftest import HERE, Lookout

__all__ = ["many"]

OLGA = Principal(uuid4(), Role.OPS, "Olga")
NEVER_AGAIN = RetryPolicy(max_attempts=1, first_delay=timedelta(0))


@pytest.fixture
def herald(book: Book) -> Herald:
    return Herald(book.engine)


async def endpoint(book: Book, channel: str = "webhook", events: list[str] | None = None) -> UUID:
    endpoint_id = new_id()
    url = f"mailto:{endpoint_id}@example.com" if channel == "mail" else f"https://example.com/{endpoint_id}"
    await book.do(
        "INSERT INTO endpoints (id, channel, customer_id, url, events, wanted, language, secret, idempotency_key, "
        "body_hash) VALUES (:id, :channel, :customer, :url, :events, :wanted, :language, '', :url, '')",
        id=endpoint_id, channel=channel, customer=book.customer_id, url=url, events=events,
        wanted=events if channel == "mail" else None, language="de" if channel == "mail" else None,
    )  # fmt: skip
    return endpoint_id


async def another(book: Book, slug: str = "other") -> Book:
    """Add a customer, with a webhook."""
    other = Book(book.engine, uuid4())
    await book.do("INSERT INTO customers (id, slug, name) VALUES (:id, :slug, 'O')", id=other.customer_id, slug=slug)
    await endpoint(other)
    return other


async def told(book: Book) -> list[tuple[str, dict[str, Any]]]:
    """List what a customer's endpoints were told, in order."""
    found = await book.scalar(
        "SELECT json_agg(json_build_array(event, body) ORDER BY id)::text FROM messages WHERE customer_id = :customer "
        "AND event LIKE 'incident.%'",
        customer=book.customer_id,
    )
    return [(event, json.loads(body)["data"]) for event, body in json.loads(found or "[]")]


async def events(book: Book) -> list[str]:
    return [event.removeprefix("incident.") for event, _ in await told(book)]


async def stuck(book: Book, lookout: Lookout, jobs: int = 1) -> Incident:
    """Have a lane stand still with so many jobs of a customer in it, for long enough that it is told."""
    await book.accept(*(book.request() for _ in range(jobs)))
    await lookout.holds("no_worker")
    await lookout.look()
    await lookout.look(later=16)
    return (await lookout.all())[-1]


async def act(book: Book, incident: Incident, wish: Wish) -> None:
    async with transaction(book.engine) as session:
        await service.act(session, OLGA, incident.id, wish)


async def later(book: Book, minutes: float) -> None:
    """Let time pass, as far as notices are concerned."""
    await book.do(
        "UPDATE incident_notices SET told_at = told_at - CAST(:by AS interval), "
        "next_update_by = next_update_by - CAST(:by AS interval)",
        by=timedelta(minutes=minutes),
    )


async def over(lookout: Lookout) -> None:
    await lookout.ends("no_worker")
    await lookout.look()
    await lookout.look(later=31)


async def test_those_it_touches_are_told_once_however_many_jobs_wait_and_nobody_else(
    book: Book, lookout: Lookout, herald: Herald
) -> None:
    other = await another(book)
    wants, mailed, _ = (
        await endpoint(book),
        await endpoint(book, "mail", ["incident.opened"]),
        await endpoint(book, events=["job.dead"]),
    )
    await other.submit(claimed_seconds=5000)
    await book.accept(*(book.request() for _ in range(200)))
    await lookout.holds("no_worker")
    await lookout.look()
    await herald.round()
    assert await told(book) == []
    await lookout.look(later=16)
    await asyncio.gather(herald.round(), Herald(book.engine).round())
    await herald.round()
    to = await book.scalar("SELECT array_agg(endpoint_id) FROM messages WHERE event = 'incident.opened'")
    assert set(to) == {wants, mailed}
    (incident,) = await lookout.all()
    (first, second) = await told(book)
    assert first == second
    data = first[1]
    assert (data["id"], data["jobs"]) == (str(incident.id), {"touched": 200, "at_least": False})
    assert data["title"] == "Jobs of this queue are not being started at the moment."
    assert set(data["titles"]) == {"de", "zh"}
    assert data["estimate"] is None
    assert data["next_update_by"] > data["since"]
    assert not {HERE, "no_worker", "host", "other"} & set(json.dumps(data).replace('"', " ").replace(":", " ").split())
    # whom it touches later is told then
    assert await told(other) == []
    await other.submit()
    await herald.round()
    assert [(event, data["jobs"]["touched"]) for event, data in await told(other)] == [("incident.opened", 1)]
    assert len(await told(book)) == 2


async def test_at_the_end_each_is_told_what_became_of_its_own_jobs(
    book: Book, lookout: Lookout, herald: Herald
) -> None:
    other = await another(book)
    await endpoint(book)
    worker = await lookout.worker()
    before = await book.start(worker)
    await other.submit()
    await stuck(book, lookout, jobs=5)
    await herald.round()
    claims = await book.claim(worker, await book.release())
    mine = [one for one in claims if (await book.row(one.id))["customer_id"] == book.customer_id]
    await book.settle(before, Succeeded({}))
    await book.settle(mine[0], Succeeded({}))
    await book.settle(mine[1], Failed(JobError("no", "No.")), NEVER_AGAIN)
    await book.lose(mine[2].id)
    await book.cancel(mine[3].id)
    await over(lookout)
    await book.submit()
    await asyncio.gather(herald.round(), Herald(book.engine).round())
    await herald.round()
    assert await events(book) == ["opened", "resolved"]
    outcome = (await told(book))[-1][1]["outcome"]
    assert outcome.pop("at_least") is False
    assert (outcome["touched"], outcome["succeeded"], outcome["failed"]) == (5, 1, 1)
    assert outcome["running"] + outcome["waiting"] + outcome["cancelled"] == 3
    assert (await told(other))[-1][1]["outcome"]["touched"] == 1


async def test_what_is_over_before_anybody_was_told_is_told_to_nobody(
    book: Book, lookout: Lookout, herald: Herald
) -> None:
    await endpoint(book)
    await book.submit()
    await lookout.holds("no_worker")
    await lookout.look()
    await herald.round()
    await lookout.ends("no_worker")
    await lookout.look()
    await lookout.look(later=20)
    await herald.round()  # it was quiet all the time
    await lookout.look(later=20)
    await herald.round()
    assert [one.live for one in await lookout.all()] == [False]
    assert await told(book) == []


async def test_an_estimate_that_moves_is_told_but_not_too_often(book: Book, lookout: Lookout, herald: Herald) -> None:
    await endpoint(book)
    incident = await stuck(book, lookout)
    await herald.round()
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    await act(book, incident, Estimate(in_an_hour))
    await herald.round()
    assert await events(book) == ["opened"]
    await later(book, 6)
    await herald.round()
    await herald.round()
    assert await events(book) == ["opened", "updated"]
    assert (await told(book))[-1][1]["estimate"][:19] == in_an_hour.isoformat()[:19]
    await later(book, 6)
    await act(book, incident, Estimate(in_an_hour + timedelta(seconds=20)))
    await herald.round()
    assert len(await told(book)) == 2
    # the time that was told comes, and it is not over: that is said, too
    await later(book, 59)
    await book.do("UPDATE incidents SET estimate = estimate - interval '65 min'")
    await herald.round()
    assert await events(book) == ["opened", "updated", "updated"]
    assert (await told(book))[-1][1]["estimate"] is None


async def test_an_incident_that_opens_again_is_told_again(book: Book, lookout: Lookout, herald: Herald) -> None:
    await endpoint(book)
    await stuck(book, lookout)
    await herald.round()
    await over(lookout)
    await herald.round()
    await lookout.holds("no_worker")
    await lookout.look()
    await herald.round()
    assert await events(book) == ["opened", "resolved"]
    await book.do("UPDATE incident_changes SET at = at - interval '16 s'")
    await herald.round()
    assert await events(book) == ["opened", "resolved", "opened"]


async def test_incidents_that_were_merged_end_once(book: Book, lookout: Lookout, herald: Herald) -> None:
    await endpoint(book)
    incident = await stuck(book, lookout)
    await herald.round()
    await lookout.holds("no_worker", "bulk-small")
    await book.submit(priority="bulk")
    await lookout.look()
    whole = next(one for one in await lookout.all() if one.id != incident.id)
    await act(book, incident, Merge(whole.id))
    await lookout.look(later=16)
    await herald.round()
    await herald.round()
    assert await events(book) == ["opened"]
    await over(lookout)
    await herald.round()
    await herald.round()
    assert await events(book) == ["opened", "resolved"]
    data = (await told(book))[-1][1]
    assert (data["id"], data["earlier_ids"]) == (str(whole.id), [str(incident.id)])
    assert data["outcome"]["touched"] == 2


async def test_of_a_lost_worker_hears_who_had_a_job_there(book: Book, lookout: Lookout, herald: Herald) -> None:
    other = await another(book)
    await endpoint(book)
    claim = await book.start(await lookout.worker("host-b", silent=9))
    await other.submit()
    await lookout.look()
    await lookout.look(later=16)
    await herald.round()
    assert [data["jobs"]["touched"] for _, data in await told(book)] == [1]
    await book.lose(claim.id)
    (again,) = [one for one in await book.claim(await lookout.worker(), await book.release()) if one.id == claim.id]
    await book.settle(again, Succeeded({}))
    await lookout.look()
    await lookout.look(later=31)
    await herald.round()
    (_, data) = (await told(book))[-1]
    assert (data["outcome"]["touched"], data["outcome"]["succeeded"]) == (1, 1)
    assert await told(other) == []


async def test_nothing_is_noted_as_told_that_was_not_written(
    book: Book, lookout: Lookout, herald: Herald, monkeypatch: pytest.MonkeyPatch
) -> None:
    await endpoint(book)
    await stuck(book, lookout)

    async def killed(*_: object) -> int:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "publish_each", killed)
        lookout.may_fail = True
        await herald.round()
    assert await told(book) == []
    await herald.round()
    assert await events(book) == ["opened"]


async def test_telling_looks_through_no_jobs(many: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    herald = Herald(many.engine)
    await endpoint(many)
    now = datetime.now(UTC)
    lanes = [Lane(priority, Size.MEDIUM).name for priority in Priority]
    found = [Finding(Cause.NO_WORKER, lane_scope(lane), now, reach=Reach(lanes=frozenset({lane}))) for lane in lanes]
    kinds = Reach(kinds=frozenset({"drill"}))
    evidence = {"kind": "drill", "error": "e"}
    found.append(Finding(Cause.DEPENDENCY_DOWN, kind_scope("drill", "e"), now, evidence, reach=kinds))
    missed = Reach(lanes=frozenset({lanes[0]}), kinds=frozenset({"drill"}))
    found.append(Finding(Cause.PROMISES_MISSED, lane_scope(lanes[0]), now, {"kinds": ["drill"]}, reach=missed))
    async with transaction(many.engine) as session:
        for one in found:
            await rows.write(session, opened(new_id(), one, now - timedelta(minutes=1)), None, now)
    await many.do("ANALYZE tallies, incidents")
    with explained(monkeypatch, many.engine) as plans:
        await herald.round()
        await many.do("UPDATE incidents SET state = 'resolved', resolved_at = now()")
        await herald.round()
    assert "resolved" in await events(many)
    asked = [plan for plan in plans if " jobs" in plan]
    assert len(asked) > 3
    assert [plan for plan in asked if "Seq Scan on jobs" in plan] == []
