"""What an incident is behind beside what is seen to hold now, and what is nothing of its own while it stands for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from invoicing.incidents.model import course
from invoicing.incidents.model.aftermath import EDGE, Ended, Late, charged, explains, spans, unexplained
from invoicing.incidents.model.causes import EVERYWHERE, Cause
from invoicing.incidents.model.facts import Stuck
from invoicing.incidents.model.incident import Blast, Change, ChangeKind, Finding, Incident, Reach, Severity
from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import Lane

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LANE, OTHER = Lane(Priority.NORMAL, Size.SMALL), Lane(Priority.BULK, Size.HUGE)
HERE = Reach(lanes=frozenset({LANE.name}))
WORKER = uuid4()


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def incident(cause: Cause = Cause.NO_WORKER, reach: Reach = HERE, over: float | None = 10, **more: Any) -> Incident:
    """One that began at noon; `over`: resolved after so many minutes."""
    found = course.opened(uuid4(), Finding(cause, f"lane:{LANE.name}", NOON, reach=reach), NOON).incident
    if over is not None:
        found = course.resolved(found, at(over), Change(ChangeKind.RESOLVED)).incident
    return replace(found, **more)


def late(due: float = 5, submitted: float = 0, **more: Any) -> Late:
    """Give a job that waits and has missed its promise, in minutes from noon."""
    found = Late(UUID(int=1), UUID(int=2), "drill", LANE, True, at(due), at(due), at(submitted))
    return replace(found, **more)


def explained(of: Incident, one: Late, now: float = 15) -> bool:
    return explains(spans([of], at(now))[0], one, at(now))


@pytest.mark.parametrize(
    ("one", "now", "expected"),
    [
        (late(), 15, True),
        (late(), 5 + 2 * 10 + 1, True),
        (late(), 5 + 2 * 10 + 2, False),
        (late(submitted=19), 24, True),
        (late(due=24, submitted=21), 25, False),
        (late(due=-1), 15, False),
        (late(lane=OTHER), 15, False),
        (late(running_since=at(11), started_at=at(11)), 15, True),
        (late(submitted=-60, running_since=at(-30), started_at=at(-30)), 15, False),
        (late(submitted=-60, running_since=at(12), started_at=at(-30)), 15, True),
        (late(due=20, missed=False), 15, True),
    ],
    ids=[
        "waited for it", "as late as it may make it", "later than it can be why", "came while its backlog waited",
        "came when that was done", "missed before", "of another lane", "has begun since", "ran all the time",
        "began again", "is at risk",
    ],
)  # fmt: skip
def test_an_outage_that_is_over_is_why_what_waited_for_it_is_late(one: Late, now: float, *, expected: bool) -> None:
    assert explained(incident(), one, now) is expected


RUNNING: dict[str, Any] = {"started_at": at(-1), "running_since": at(-1), "worker_id": WORKER}


@pytest.mark.parametrize(
    ("cause", "reach", "one", "expected"),
    [
        (Cause.WORKER_LOST, Reach(workers=frozenset({WORKER})), late(lost_by=frozenset({WORKER}), **RUNNING), True),
        (Cause.WORKER_LOST, Reach(workers=frozenset({uuid4()})), late(lost_by=frozenset({WORKER}), **RUNNING), False),
        (Cause.WORKER_LOST, Reach(workers=frozenset({WORKER})), late(), False),
        (Cause.LOOP_BLOCKED, Reach(workers=frozenset({WORKER}), lanes=frozenset()), late(**RUNNING), True),
        (Cause.NO_PROGRESS, Reach(kinds=frozenset({"drill"})), late(**RUNNING), True),
        (Cause.NO_PROGRESS, Reach(kinds=frozenset({"other"})), late(**RUNNING), False),
        (Cause.NO_PROGRESS, Reach(kinds=frozenset({"drill"})), late(**RUNNING | {"started_at": at(11)}), False),
        (Cause.DEPENDENCY_DOWN, Reach(kinds=frozenset({"drill"}), error="e"), late(error="e"), True),
        (Cause.DEPENDENCY_DOWN, Reach(kinds=frozenset({"drill"}), error="e"), late(error="other"), False),
        (Cause.DEPENDENCY_DOWN, Reach(needs="gate"), late(needs="post gate"), True),
        (Cause.DEPENDENCY_DOWN, Reach(needs="gate"), late(needs="gates"), False),
        (Cause.POISON, Reach(kinds=frozenset({"drill"})), late(), False),
    ],
)
def test_other_causes_are_why_what_they_held_is_late(cause: Cause, reach: Reach, one: Late, *, expected: bool) -> None:
    known = spans([incident(cause, reach)], at(15))
    assert bool(charged(known, [one], at(15)).blasts) is expected


def test_each_promise_is_charged_once_to_the_worst_and_to_the_whole_that_it_was_merged_with() -> None:
    long, short = incident(Cause.UNDELIVERED), incident(over=9)
    whole = incident(Cause.LOOP_BLOCKED, Reach(workers=frozenset(), lanes=frozenset()), over=None)
    part = incident(Cause.UNDELIVERED, merged_into=whole.id)
    lost = late(lane=OTHER, customer_id=uuid4())
    mild = incident(Cause.WORKER_LOST, Reach(workers=frozenset({WORKER})), over=None)
    ones = [late(lost_by=frozenset({WORKER})), late(customer_id=uuid4(), missed=False), lost]
    found = charged(spans([mild, short, long], at(15)), ones, at(15))
    assert found.blasts == {long.id: Blast(2, 2, 1, 1, oldest=NOON)}
    assert found.left == [lost]
    assert [*charged(spans([whole, part], at(15)), [late()], at(15)).blasts] == [whole.id]


def stuck(since: float, **more: Any) -> Stuck:
    return replace(Stuck(UUID(int=1), UUID(int=2), "drill", LANE, at(since), at(since)), **more)


NOW = at(10)


@pytest.mark.parametrize(
    ("known", "since"),
    [
        (incident(over=None), None),
        (incident(over=None, quiet_since=at(10) - course.HOLD_DOWN / 2), None),
        (incident(over=None, quiet_since=at(9)), at(9) + course.HOLD_DOWN),
        (incident(over=9), at(9)),
        (incident(Cause.WATCHDOG_BLIND, Reach(), over=8), at(8)),
        (incident(Cause.NO_CAPABLE_WORKER, Reach(kinds=frozenset({"other"})), over=None), NOON),
        (incident(Cause.NO_WORKER, Reach(lanes=frozenset({OTHER.name})), over=None), NOON),
        (incident(Cause.WORKER_LOST, Reach(workers=frozenset({WORKER})), over=None), NOON),
        (incident(Cause.UNEXPLAINED, over=None), NOON),
        (incident(Cause.DEPENDENCY_DOWN, Reach(), over=None), NOON),
        (incident(reach=Reach(), over=None, scope=EVERYWHERE), None),
    ],
)
def test_a_job_is_unexplained_only_from_when_no_incident_stands_for_it(known: Incident, since: datetime | None) -> None:
    found = unexplained([stuck(0)], (), [known], NOW)
    assert [one.since for one in found] == ([] if since is None else [since])


@pytest.mark.parametrize(
    ("ended", "since"),
    [
        (Ended(LANE.name, at(9)), at(9)),
        (Ended(EVERYWHERE, at(9)), at(9)),
        (Ended(f"customer:{UUID(int=2)}", at(9)), at(9)),
        (Ended(f"customer:{UUID(int=3)}", at(9)), NOON),
        (Ended(OTHER.name, at(9)), NOON),
        (Ended(LANE.name, at(9), frozenset({"drill"})), NOON),
    ],
)
def test_and_only_from_when_nothing_holds_its_lane(ended: Ended, since: datetime) -> None:
    assert [one.since for one in unexplained([stuck(0)], [ended], (), NOW)] == [since]


def test_what_is_proven_a_little_later_explains_what_was_due_just_before() -> None:
    assert explained(incident(), late(due=-EDGE / timedelta(minutes=1)))


MANY = Blast(jobs=12, customers=3, promises_missed=12)


def test_one_whose_cause_is_gone_may_still_grow_worse_and_is_over_all_the_same() -> None:
    quiet = incident(over=None, quiet_since=at(10), seen_at=at(10))
    step = course.unseen(quiet, at(10.2), MANY)
    assert step is not None
    assert ([one.kind for one in step.changes], step.incident.severity) == ([ChangeKind.SEVERITY_RAISED], Severity.S1)
    over = course.unseen(step.incident, at(11), MANY)
    assert over is not None
    assert ([one.kind for one in over.changes], over.incident.blast) == ([ChangeKind.RESOLVED], MANY)


def test_of_one_that_is_over_the_most_at_one_time_is_kept_and_nobody_hears_of_it() -> None:
    ended = incident(blast=Blast(promises_missed=3))
    step = course.after_all(ended, MANY, at(15))
    assert step is not None
    assert (step.changes, step.incident.severity, step.incident.blast) == ((), Severity.S2, MANY)
    assert course.after_all(ended, Blast(promises_missed=2), at(15)) is None
