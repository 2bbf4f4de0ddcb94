"""What is read becomes one finding for a cause and scope; promises are charged once; jobs know what touches them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from invoicing.incidents.model import findings
from invoicing.incidents.model.aftermath import Late
from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.combining import combined
from invoicing.incidents.model.course import opened
from invoicing.incidents.model.facts import Broken, Failures, Held, OnRunway
from invoicing.incidents.model.incident import Blast, Finding, Incident, Reach, Severity
from invoicing.incidents.model.promises import of_promises
from invoicing.incidents.model.touching import touches, touching
from invoicing.jobs.model import Job, Priority, PromiseStatus, Size
from invoicing.lanes.model import Lane

from ..diagnosis.situations import WORKER, retrying, running, waiting

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LANE, OTHER = Lane(Priority.NORMAL, Size.SMALL), Lane(Priority.BULK, Size.HUGE)


def incident(cause: Cause, reach: Reach | None = None, **more: Any) -> Incident:
    found = opened(uuid4(), Finding(cause, "lane:x", NOON, reach=reach or Reach()), NOON).incident
    return replace(found, **more)


def broken(lane: Lane = LANE, kind: str = "drill", **more: Any) -> Broken:
    told = {"running": False, "missed": 1, "at_risk": 2, "customers": 3, "oldest": NOON, **more}
    return Broken(lane, kind, **told)


def lane_held(lane: Lane = LANE) -> Finding:
    return Finding(Cause.NO_WORKER, f"lane:{lane.name}", NOON, reach=Reach(lanes=frozenset({lane.name})))


def test_a_broken_promise_is_charged_to_what_holds_its_job() -> None:
    found = findings.with_promises([lane_held()], [broken(), broken(kind="other")], ())
    assert found.left == []
    assert found.findings[0].blast == Blast(0, 3, 4, 2)


def test_those_of_a_lost_worker_whose_lane_nobody_else_serves_are_charged_to_that() -> None:
    lost = Finding(Cause.WORKER_LOST, "host:a", NOON, reach=Reach(workers=frozenset({WORKER})))
    ran, elsewhere = broken(running=True), broken(OTHER, running=True)
    found = findings.with_promises([lost, lane_held()], [ran, elsewhere], ())
    assert [one.blast.promises_missed for one in found.findings] == [1, 1]


@pytest.mark.parametrize("one", [broken(OTHER), broken(running=True)], ids=["of another lane", "of one that runs"])
def test_one_that_nothing_holds_now_is_left_unless_its_lane_is_paused(one: Broken) -> None:
    assert findings.with_promises([lane_held()], [one], ()).left == [one]
    assert findings.with_promises([lane_held()], [one], (one.lane.name,)).left == []


def late(customer: int = 1, *, missed: bool = False, number: int = 1) -> Late:
    due = NOON if missed else NOON + timedelta(hours=1)
    return Late(UUID(int=number), UUID(int=customer), "drill", LANE, missed, due, NOON, NOON)


SCOPE = f"lane:{LANE.name}"


@pytest.mark.parametrize(
    ("ones", "certain", "known", "expected"),
    [
        ([late(missed=True)], 0, (), (1, 0)),
        ([late(number=n) for n in range(4)], 4, (), None),
        ([late(number=n) for n in range(5)], 5, (), (0, 5)),
        ([late(number=n) for n in range(9)], 4, (), None),
        ([late(n, number=n) for n in range(3)], 3, (), (0, 3)),
        ([late()], 1, (SCOPE,), (0, 1)),
        ([late()], 0, (SCOPE,), None),
    ],
    ids=[
        "one is missed", "few of a customer are certain", "several are", "most may still be kept", "of several",
        "known, and one still is", "known, and none is any more",
    ],
)  # fmt: skip
def test_promises_are_found_when_one_is_missed_or_several_are_certain_to_be(
    ones: list[Late], certain: int, known: tuple[str, ...], expected: tuple[int, int] | None
) -> None:
    found = list(of_promises(ones, [one.job_id for one in ones][:certain], known))
    told = [(one.blast.promises_missed, one.blast.promises_at_risk) for one in found]
    assert told == ([] if expected is None else [expected])
    assert all((one.cause, one.scope, one.evidence["certain"]) == ("promises_missed", SCOPE, certain) for one in found)


@pytest.mark.parametrize(
    ("changed", "known", "expected"),
    [
        ({}, (), 1),
        ({"jobs": 4}, (), 0),
        ({"customers": 1}, (), 0),
        ({"succeeded": 6}, (), 0),
        ({"jobs": 0, "waiting": 1}, ("kind:k/error:e",), 1),
        ({"jobs": 0, "waiting": 0}, ("kind:k/error:e",), 0),
    ],
)
def test_failures_are_a_cause_when_several_customers_have_them_and_no_fewer_than_succeed(
    changed: dict[str, Any], known: tuple[str, ...], expected: int
) -> None:
    one = replace(Failures("k", "e", 5, 2, 5, NOON, NOON, 5), **changed)
    assert len(list(findings.of_failures([one], known))) == expected


@pytest.mark.parametrize(
    ("kinds", "evidence", "left"),
    [
        (("other",), {"released_at": NOON}, False),
        (("other", "drill"), {"released_at": NOON}, True),
        (("other",), {"looked_at": NOON}, True),
        ((), {"released_at": NOON}, True),
    ],
    ids=["nothing that it offers", "something that it offers", "nobody hands out", "an empty runway"],
)
def test_a_lane_is_not_undelivered_because_of_what_nobody_offers(
    kinds: tuple[str, ...],
    evidence: dict[str, Any],
    left: bool,  # noqa: FBT001 - parametrised
) -> None:
    spared = Held(LANE, Cause.NO_CAPABLE_WORKER, NOON, spares=frozenset({"drill"}))
    lane = Held(LANE, Cause.UNDELIVERED, NOON, evidence)
    found = findings.claimable([spared, lane], [OnRunway(LANE, kind, 1, 1) for kind in kinds])
    assert (lane in found, spared in found) == (left, True)


def test_what_nobody_claims_in_a_lane_whose_workers_fell_silent_is_one_incident_and_not_two() -> None:
    silent, lane, other = (
        Held(LANE, Cause.NO_WORKER, NOON),
        Held(LANE, Cause.UNDELIVERED, NOON, {"released_at": NOON}),
        Held(OTHER, Cause.UNDELIVERED, NOON, {"released_at": NOON}),
    )
    assert findings.claimable([silent, lane, other], [OnRunway(LANE, "drill", 1, 1)]) == [silent, other]


SOMEBODY_ELSE = frozenset({uuid4()})
HERE = frozenset({LANE.name})


@pytest.mark.parametrize(
    ("cause", "reach", "job", "shows", "touched"),
    [
        (Cause.NO_WORKER, Reach(lanes=frozenset({LANE.name})), waiting(), "no_worker", True),
        (Cause.NO_WORKER, Reach(), waiting(), "no_worker", True),
        (Cause.NO_WORKER, Reach(lanes=frozenset({OTHER.name})), waiting(), "no_worker", False),
        (Cause.NO_WORKER, Reach(), waiting(), "paused", False),
        (Cause.NO_CAPABLE_WORKER, Reach(kinds=frozenset({"drill"})), waiting(), "no_capable_worker", True),
        (Cause.NO_CAPABLE_WORKER, Reach(spares=frozenset({"drill"})), waiting(), "no_capable_worker", False),
        (Cause.LOOP_BLOCKED, Reach(workers=SOMEBODY_ELSE, lanes=HERE), waiting(), "loop_blocked", True),
        (Cause.LOOP_BLOCKED, Reach(workers=SOMEBODY_ELSE), running(), "loop_blocked", False),
        (Cause.LOOP_BLOCKED, Reach(workers=frozenset({WORKER})), running(), "loop_blocked", True),
        (Cause.DEPENDENCY_DOWN, Reach(error="drill_failed"), retrying(5), "retry_backoff", True),
        (Cause.DEPENDENCY_DOWN, Reach(error="other"), retrying(5), "retry_backoff", False),
        (Cause.DEPENDENCY_DOWN, Reach(needs="gate"), waiting(needs="gate post"), "dependency_down", True),
        (Cause.DEPENDENCY_DOWN, Reach(needs="gate"), waiting(needs="post"), "dependency_down", False),
        (Cause.PROMISES_MISSED, Reach(), waiting(promise_status=PromiseStatus.MISSED), "lane_saturated", True),
        (Cause.PROMISES_MISSED, Reach(), waiting(), "lane_saturated", False),
        (Cause.UNDELIVERED_RESULT, Reach(customers=SOMEBODY_ELSE), waiting(), "lane_saturated", False),
    ],
)  # fmt: skip
def test_a_job_is_touched_by_what_it_is_and_by_the_cause_that_it_shows(
    cause: Cause,
    reach: Reach,
    job: Job,
    shows: str,
    touched: bool,  # noqa: FBT001 - parametrised
) -> None:
    assert touches(incident(cause, reach), job, shows) is touched


def test_of_several_the_worst_is_named_and_of_these_the_oldest() -> None:
    mild = incident(Cause.NO_WORKER, severity=Severity.S3)
    late = incident(Cause.NO_WORKER, severity=Severity.S1, opened_at=datetime(2026, 11, 23, tzinfo=UTC))
    worst = incident(Cause.NO_WORKER, severity=Severity.S1)
    assert touching([mild, late, worst], waiting(), "no_worker") == worst
    assert touching([mild], waiting(), "lane_saturated") is None


def test_several_findings_of_one_incident_are_added_up_and_bound_nothing_that_one_of_them_does_not() -> None:
    both = combined([replace(lane_held(), blast=Blast(2, 1)), replace(lane_held(OTHER), blast=Blast(3, 2))])
    assert (both.blast.jobs, both.blast.customers, both.blast.at_least) == (5, 2, True)
    assert both.reach.lanes == frozenset({LANE.name, OTHER.name})
    assert combined([lane_held(), Finding(Cause.NO_WORKER, "*", NOON)]).reach.lanes is None
