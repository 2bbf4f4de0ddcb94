"""One incident for a cause, however many jobs it holds; it is over by itself; one that fails stops no other."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from invoicing.alerts import service as alerts
from invoicing.alerts.model import ChannelKind
from invoicing.alerts.model import Severity as Least
from invoicing.incidents.keeping import keep
from invoicing.incidents.model.causes import EVERYWHERE, Cause
from invoicing.incidents.model.incident import Change, Incident, Severity
from invoicing.incidents.store import facts
from invoicing.jobs.model import Failed, JobError, Succeeded
from invoicing.kit.db import Session, transaction
from invoicing.lanes.model import LANES

from ..alerts.desk import alert
from ..book import Book
from .conftest import HERE, Lookout

LANE = f"lane:{HERE}"


async def other_customer(book: Book, slug: str = "other") -> UUID:
    other = uuid4()
    await book.do("INSERT INTO customers (id, slug, name) VALUES (:id, :slug, 'Other')", id=other, slug=slug)
    return other


async def test_a_lane_without_a_worker_is_one_incident_while_something_waits_in_it(
    book: Book, lookout: Lookout
) -> None:
    await lookout.holds("no_worker", HERE, "bulk-huge")
    assert await lookout.look() == 0
    await book.accept(*(book.request() for _ in range(30)))
    assert await lookout.look() == 1
    assert await lookout.look() == 0
    (incident,) = await lookout.all()
    assert (incident.cause, incident.scope, incident.severity) == (Cause.NO_WORKER, LANE, Severity.S2)
    assert (incident.blast.jobs, incident.blast.customers) == (30, 1)
    assert incident.blast.oldest is not None
    await lookout.ends("no_worker")
    await lookout.look()
    assert await lookout.look(later=15) == 0
    assert await lookout.look(later=16) == 1
    assert await lookout.changes(incident) == ["opened", "eased", "resolved"]
    assert lookout.told == [("no_worker", "opened"), ("no_worker", "resolved")]


async def test_what_has_waited_for_no_time_is_no_incident_though_nobody_served_its_lane_all_day(
    book: Book, lookout: Lookout
) -> None:
    await lookout.holds("no_worker", since=86_400)
    await book.submit()
    lookout.waited = False
    await lookout.look()
    assert await lookout.live() == []
    lookout.waited = True
    await lookout.look()
    assert await lookout.live() == [("no_worker", LANE)]


async def test_a_lane_that_somebody_paused_needs_no_worker(book: Book, lookout: Lookout) -> None:
    await lookout.holds("no_worker")
    await book.submit()
    await pause(book)
    await lookout.look()
    assert await lookout.live() == []


async def test_a_customer_that_somebody_paused_needs_no_worker_and_others_do(book: Book, lookout: Lookout) -> None:
    await lookout.holds("no_worker")
    await book.submit()
    await pause_customer(book)
    await lookout.look()
    assert await lookout.live() == []
    await Book(book.engine, await other_customer(book)).submit()
    await lookout.look()
    (incident,) = await lookout.all()
    assert (incident.cause, incident.blast.jobs, incident.blast.customers) == (Cause.NO_WORKER, 1, 1)


async def pause_customer(book: Book) -> None:
    await book.do(
        "INSERT INTO customer_pauses (id, customer_id, until, reason, by) "
        "VALUES (:id, :customer, now() + interval '1 h', 'r', 'ops')",
        id=uuid4(), customer=book.customer_id,
    )  # fmt: skip


async def pause(book: Book) -> None:
    await book.do(
        "INSERT INTO pauses (id, lane, until, reason, by) VALUES (:id, :lane, now() + interval '1 h', 'r', 'ops')",
        id=uuid4(), lane=HERE,
    )  # fmt: skip


async def test_what_holds_every_lane_is_one_incident(book: Book, lookout: Lookout) -> None:
    await lookout.holds("no_worker", *(lane.name for lane in LANES))
    await book.accept(book.request(), book.request(priority="bulk"), book.request(claimed_seconds=5000))
    await lookout.look()
    (incident,) = await lookout.all()
    assert (incident.scope, incident.severity, incident.blast.jobs) == (EVERYWHERE, Severity.S1, 3)
    assert len(incident.evidence["lanes"]) == 3


async def test_a_kind_that_nobody_offers_is_an_incident_of_that_kind(book: Book, lookout: Lookout) -> None:
    await lookout.holds("no_capable_worker", spares=["drill"])
    await book.submit()
    await book.release()
    await lookout.look()
    assert await lookout.live() == []
    await book.submit(kind="register.entry")
    await book.release()
    await lookout.look()
    assert await lookout.live() == [("no_capable_worker", "kind:register.entry")]


async def test_what_nobody_offers_does_not_make_its_lane_undelivered(book: Book, lookout: Lookout) -> None:
    await lookout.holds("no_capable_worker", spares=["drill"])
    await lookout.holds("undelivered")
    await book.do(
        "UPDATE conditions SET evidence = jsonb_build_object('released_at', since) WHERE cause = 'undelivered'"
    )
    await book.submit(kind="register.entry")
    await book.release()
    await lookout.look()
    assert await lookout.live() == [("no_capable_worker", "kind:register.entry")]
    await book.submit()
    await book.release()
    await lookout.look()
    assert sorted(await lookout.live())[1:] == [("undelivered", LANE)]


async def test_a_worker_that_fell_silent_with_jobs_in_hand_is_lost_until_they_go_on(
    book: Book, lookout: Lookout
) -> None:
    await lookout.worker(silent=60)  # had nothing to do
    lost = await lookout.worker("host-b", silent=9)
    claim = await book.start(lost)
    await lookout.look(thorough=False)
    (incident,) = await lookout.all()
    assert (incident.cause, incident.scope, incident.severity) == (Cause.WORKER_LOST, "host:host-b", Severity.S4)
    assert incident.reach.workers == frozenset({lost})
    assert incident.estimate is not None
    await book.lose(claim.id)
    await lookout.look(thorough=False)
    assert await lookout.changes(incident) == ["opened"]
    await book.do("UPDATE jobs SET due_at = now() WHERE state = 'retrying'")
    assert len(await book.claim(uuid4(), await book.release())) == 1
    await lookout.look(thorough=False)
    assert await lookout.changes(incident) == ["opened", "eased"]


async def test_an_event_loop_that_stands_still_is_an_incident_of_its_host(lookout: Lookout) -> None:
    await lookout.worker(loop_silent=20)
    await lookout.look(thorough=False)
    (incident,) = await lookout.all()
    assert (incident.cause, incident.scope) == (Cause.LOOP_BLOCKED, "host:host-a")
    assert incident.reach.lanes == frozenset({HERE})


async def test_running_jobs_without_progress_are_one_incident_of_their_kind(book: Book, lookout: Lookout) -> None:
    worker = await lookout.worker()
    for _ in range(3):
        await book.start(worker, lease=timedelta(hours=1))
    await lookout.look(thorough=False)
    assert await lookout.live() == []
    await book.do("UPDATE attempts SET started_at = started_at - interval '1 h'")
    await book.do("UPDATE jobs SET started_at = started_at - interval '1 h' WHERE state = 'running'")
    await lookout.look(thorough=False)
    (incident,) = await lookout.all()
    assert (incident.cause, incident.scope, incident.blast.jobs) == (Cause.NO_PROGRESS, "kind:drill", 3)


async def fail(book: Book, worker: UUID, code: str, times: int) -> None:
    for _ in range(times):
        claim = await book.start(worker)
        assert await book.settle(claim, Failed(JobError(code, "The register does not answer.")))
        await book.do("UPDATE jobs SET due_at = now() + interval '1 h' WHERE id = :id", id=claim.id)


async def test_one_error_of_several_customers_is_one_incident_until_their_jobs_have_moved_on(
    book: Book, lookout: Lookout
) -> None:
    worker = await lookout.worker()
    await fail(book, worker, "register_down", 4)
    await lookout.look()
    assert await lookout.live() == []
    mine, book.customer_id = book.customer_id, await other_customer(book)
    await fail(book, worker, "register_down", 1)
    await lookout.look()
    assert await lookout.live() == [("dependency_down", "kind:drill/error:register_down")]
    await book.do("UPDATE attempts SET ended_at = ended_at - interval '1 h'")
    assert await lookout.look() == 0  # they wait to be tried again
    await book.do("UPDATE jobs SET state = 'queued'")
    await lookout.look()
    assert lookout.told == [("dependency_down", "opened")]
    assert mine != book.customer_id


async def test_errors_beside_as_many_successes_are_none(book: Book, lookout: Lookout) -> None:
    worker = await lookout.worker()
    await fail(book, worker, "register_down", 3)
    book.customer_id = await other_customer(book)
    await fail(book, worker, "register_down", 3)
    for _ in range(7):
        await book.settle(await book.start(worker), Succeeded({}))
    await lookout.look()
    assert await lookout.live() == []


async def test_quarantine_lasts_until_the_last_of_a_kind_is_dealt_with(book: Book, lookout: Lookout) -> None:
    job = await book.submit()
    await book.do(
        "UPDATE jobs SET state = 'dead', finished_at = now(), error = '{\"code\": \"poison\"}' WHERE id = :id", id=job
    )
    await lookout.look()
    assert await lookout.live() == [("poison", "kind:drill")]
    for table in ("incidents SET since = since", "jobs SET finished_at = finished_at"):
        await book.do(f"UPDATE {table} - interval '2 d'")
    assert await lookout.look() == 0
    await book.do("UPDATE jobs SET state = 'queued', finished_at = NULL, error = NULL")
    await lookout.look()
    await lookout.look(later=31)
    assert lookout.told == [("poison", "opened"), ("poison", "resolved")]


async def test_an_endpoint_that_takes_nothing_is_an_incident_of_its_customer(book: Book, lookout: Lookout) -> None:
    endpoint = uuid4()
    await book.do(
        "INSERT INTO endpoints (id, customer_id, url, secret, idempotency_key, body_hash, failures, open_until) "
        "VALUES (:id, :customer, 'https://example.com', 's', 'k', '', 5, now() + interval '5 min')",
        id=endpoint, customer=book.customer_id,
    )  # fmt: skip
    await lookout.look()
    assert await lookout.live() == []
    await book.do(
        "INSERT INTO messages (id, channel, endpoint_id, customer_id, event, body) "
        "VALUES (:id, 'webhook', :endpoint, :customer, 'test', '{}')",
        id=uuid4(), endpoint=endpoint, customer=book.customer_id,
    )  # fmt: skip
    await lookout.look()
    (incident,) = await lookout.all()
    assert (incident.cause, incident.severity) == (Cause.UNDELIVERED_RESULT, Severity.S4)
    assert incident.scope == f"customer:{book.customer_id}"
    assert incident.estimate is not None


async def test_a_channel_of_ops_that_takes_nothing_is_no_incident_of_a_customer(book: Book, lookout: Lookout) -> None:
    wish = alerts.Wish("night shift", ChannelKind.WEBHOOK, "https://example.com", Least.S4, "secret")
    async with transaction(book.engine) as session:
        await alerts.add(session, wish, "once")
        await alerts.announce(session, alert())
    await book.do("UPDATE endpoints SET failures = 5, open_until = now() + interval '5 min'")
    assert await book.scalar("SELECT count(*) FROM messages WHERE state = 'waiting'") == 1
    await lookout.look()
    assert await lookout.live() == []


async def test_who_does_not_see_says_so_and_says_nothing_of_what_was(book: Book, lookout: Lookout) -> None:
    await book.submit()
    await lookout.holds("no_worker")
    await lookout.look()
    await lookout.ends("no_worker")
    await book.do("UPDATE places SET at = now() - interval '11 s' WHERE name = 'watch'")
    async with transaction(book.engine) as session:
        await keep(session, thorough=False)
    assert sorted(await lookout.live()) == [("no_worker", LANE), ("watchdog_blind", EVERYWHERE)]
    assert all(one.quiet_since is None for one in await lookout.all())


async def test_what_cannot_be_looked_for_or_kept_stops_nothing_else(
    book: Book, lookout: Lookout, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await book.submit()
    await lookout.holds("no_worker")
    await lookout.worker("host-1", loop_silent=20)

    async def broken(session: Session) -> object:
        return await session.execute(text("SELECT 1 / 0"))

    async def refuses(_session: Session, incident: Incident, _change: Change) -> None:
        if incident.cause is Cause.NO_WORKER:
            raise ValueError("poison")

    monkeypatch.setattr(facts, "quiet", broken)
    lookout.may_fail = True
    lookout.tell = refuses
    for _ in range(2):
        await lookout.look(thorough=False)
    assert await lookout.live() == [("loop_blocked", "host:host-1")]
    actions = [getattr(record, "action", None) for record in caplog.records if record.levelname == "ERROR"]
    assert actions == ["incidents.source_failed", "incidents.finding_failed"] * 2


async def test_a_row_that_cannot_be_read_stops_nothing(book: Book, lookout: Lookout) -> None:
    await book.submit()
    await lookout.holds("no_worker")
    await lookout.look()
    await book.do("UPDATE incidents SET cause = 'of another build'")
    lookout.may_fail = True
    assert await lookout.look() == 1
    assert await lookout.live() == [("no_worker", LANE)]


async def test_one_looks_at_a_time(book: Book, lookout: Lookout) -> None:
    async with transaction(book.engine) as session:
        assert await keep(session) is not None
        assert await lookout.look() is None


async def test_fifty_causes_at_once_are_fifty_incidents_and_ten_thousand_jobs_one_write(
    book: Book, lookout: Lookout
) -> None:
    for number in range(50):
        await lookout.worker(f"host-{number}", loop_silent=20)
    assert await lookout.look(thorough=False) == 50
    assert await lookout.look(thorough=False) == 0
    await book.do(
        "INSERT INTO tallies (customer_id, priority, size, waiting, work_s) VALUES (:id, 'normal', 'small', 10000, 1)",
        id=book.customer_id,
    )
    await lookout.holds("no_worker")
    assert await lookout.look(thorough=False) == 1
    assert len(await lookout.all()) == 51
