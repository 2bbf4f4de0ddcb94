"""Promises are charged to what breaks them, now or before; those of nothing else, and what nothing proves, are told."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.incident import Severity
from invoicing.jobs.model import Succeeded

from ..book import Book
from .conftest import Lookout
from .test_keeping import LANE, pause, pause_customer


async def missed(book: Book, due: float = 60) -> None:
    """Have every promise be missed for so many seconds."""
    await book.do(
        "UPDATE jobs SET promise_status = 'missed', promise_due = now() - CAST(:due AS interval)",
        due=timedelta(seconds=due),
    )


async def test_missed_promises_are_charged_to_what_breaks_them_and_go_on_to_be_when_that_is_over(
    book: Book, lookout: Lookout
) -> None:
    await book.accept(book.request(), book.request())
    await missed(book)
    await lookout.holds("no_worker")
    await lookout.look()
    (incident,) = await lookout.all()
    assert (incident.blast.promises_missed, incident.cause) == (2, Cause.NO_WORKER)
    await lookout.ends("no_worker")
    await lookout.look()
    (incident,) = await lookout.all()
    assert (incident.blast.jobs, incident.blast.promises_missed, incident.quiet_since is None) == (2, 2, False)
    await lookout.look(later=31)
    assert len(await book.claim(await lookout.worker(), await book.release())) == 2
    await book.submit()
    await missed(book)
    await lookout.look(later=31)
    (incident,) = await lookout.all()
    assert (incident.live, incident.blast.promises_missed) == (False, 3)
    assert lookout.told == [("no_worker", "opened"), ("no_worker", "resolved")]


async def test_what_waits_for_a_review_or_a_quota_breaks_by_no_outage_and_of_what_is_paused_nothing_is_said(
    book: Book, lookout: Lookout
) -> None:
    await book.accept(book.request(), book.request())
    for held in ("held = true", "state = 'in_review'"):
        await book.do(f"UPDATE jobs SET {held} WHERE id = :id", id=await book.submit())
    paused = await book.submit()
    await book.do("UPDATE jobs SET held = true WHERE id = :id", id=paused)
    await book.do("INSERT INTO holds (job_id, due, reason, by) VALUES (:id, now(), 'a look', 'ops:test')", id=paused)
    await missed(book)
    await lookout.holds("no_worker")
    for _ in range(2):
        await lookout.look()
    outage, rest = await lookout.all()
    assert (outage.cause, outage.blast.jobs, outage.blast.promises_missed) == (Cause.NO_WORKER, 2, 2)
    assert (rest.cause, rest.blast.promises_missed) == (Cause.PROMISES_MISSED, 2)


async def test_a_promise_is_charged_once_beside_one_of_its_lane_and_kind_that_nothing_holds(
    book: Book, lookout: Lookout
) -> None:
    down = "INSERT INTO dependencies (name, title, opened_at, next_try_at) VALUES ('gate', '', now(), now())"
    await book.do(down.replace("now()", "now() - interval '5 min'"))
    await book.accept(book.request(needs="gate"), book.request())
    await missed(book)
    for _ in range(2):
        await lookout.look()
    blasts = {one.cause: one.blast.promises_missed for one in await lookout.all()}
    assert blasts == {Cause.DEPENDENCY_DOWN: 1, Cause.PROMISES_MISSED: 1}


async def test_a_promise_that_breaks_for_longer_than_an_outage_explains_is_an_incident_of_its_own(
    book: Book, lookout: Lookout
) -> None:
    await book.submit()
    await lookout.holds("no_worker")
    await lookout.look()
    await lookout.ends("no_worker")
    await lookout.look()
    await lookout.look(later=31)
    await missed(book, 3_600)
    await book.do("UPDATE incidents SET since = since - interval '2 hours', resolved_at = now() - interval '119 min'")
    await lookout.look()
    assert await lookout.live() == [("promises_missed", LANE)]
    assert [one.severity for one in await lookout.all() if one.live] == [Severity.S2]


@pytest.mark.parametrize("held", [pause, pause_customer])
async def test_what_was_missed_a_moment_ago_waits_for_its_cause_to_be_proven_and_a_pause_is_none(
    book: Book, lookout: Lookout, held: Callable[[Book], Awaitable[None]]
) -> None:
    await book.submit()
    await missed(book, 20)
    await lookout.look()
    assert await lookout.live() == []
    await missed(book, 31)
    await lookout.look()
    assert await lookout.live() == [("promises_missed", LANE)]
    await held(book)
    await lookout.look()
    await lookout.look(later=31)
    assert await lookout.live() == []


async def saturated(book: Book, lookout: Lookout) -> None:
    """Let a minute's work run in all slots, and jobs wait that are promised within seconds."""
    worker = await lookout.worker()
    for _ in range(10):  # of which it is learned how long such jobs take
        await book.settle(await book.start(worker, lease=timedelta(hours=1)), Succeeded({}))
    await book.do("UPDATE attempts SET started_at = ended_at - interval '1 s'")
    for _ in range(2):
        await book.start(worker, lease=timedelta(hours=1), claimed_seconds=1.0)
    await book.accept(*(book.request() for _ in range(400)))
    await lookout.holds("lane_saturated")


@pytest.mark.parametrize(("due", "certain"), [(timedelta(seconds=1), True), (timedelta(days=1), False)])
async def test_promises_that_cannot_be_kept_any_more_are_told_before_they_are_missed(
    book: Book, lookout: Lookout, due: timedelta, *, certain: bool
) -> None:
    await saturated(book, lookout)
    lookout.waited = False
    await book.do(
        "UPDATE jobs SET promise_status = 'at_risk', promise_due = now() + CAST(:due AS interval), "
        "promise_changed_at = now() - interval '31 s' WHERE state = 'queued'",
        due=due,
    )
    await lookout.look()
    assert await lookout.live() == ([("promises_missed", LANE)] if certain else [])
    assert [one.severity for one in await lookout.all()] == ([Severity.S3] if certain else [])


async def test_jobs_that_nothing_explains_are_an_incident(book: Book, lookout: Lookout) -> None:
    await unheld(book, lookout)
    await lookout.look()
    assert await lookout.live() == [("unexplained", LANE)]


async def unheld(book: Book, lookout: Lookout) -> None:
    """Let a job wait for which a worker is free."""
    await lookout.worker()
    await book.submit()
    await book.do(
        "UPDATE jobs SET submitted_at = now() - interval '1 min', due_at = now() - interval '1 min', "
        "order_at = now() - interval '1 min'"
    )


async def test_a_moment_without_a_proof_after_a_minute_with_one_is_none(book: Book, lookout: Lookout) -> None:
    await unheld(book, lookout)
    await lookout.holds("no_worker")
    await lookout.look()
    await lookout.ends("no_worker")
    for later in (0, 29, 10, 10):
        await lookout.look(later=later)
    assert await lookout.live() == []
    await book.do("UPDATE conditions SET until = until - interval '1 min', since = since - interval '1 min'")
    await lookout.look(later=10)
    assert await lookout.live() == [("unexplained", LANE)]
