"""An incident opens once its cause has held, is over once that was quiet, and a cause that comes and goes is one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoicing.incidents.keeping import due_now
from invoicing.incidents.looking import Look
from invoicing.incidents.model import course
from invoicing.incidents.model.acts import Acknowledge, Estimate, Merge, Note, Resolve, acted, holds
from invoicing.incidents.model.causes import EVERYWHERE, Cause
from invoicing.incidents.model.incident import (
    SERVICE,
    Blast,
    ChangeKind,
    Finding,
    Incident,
    IncidentState,
    Severity,
)

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ALERTED = {ChangeKind.OPENED, ChangeKind.REOPENED}
EVERY_CAUSE = frozenset(Cause)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def finding(cause: Cause = Cause.LOOP_BLOCKED, scope: str = "host:a", since: float = 0, **more: Any) -> Finding:
    return replace(Finding(cause, scope, at(since)), **more)


class Log:
    """Keeps incidents as the ledger does, and when what happened to them."""

    def __init__(self) -> None:
        self.incidents: dict[object, Incident] = {}
        self.happened: list[tuple[datetime, ChangeKind]] = []

    def look(self, now: datetime, *found: Finding, looked_for: frozenset[Cause] = EVERY_CAUSE) -> list[ChangeKind]:
        known = [
            one for one in self.incidents.values()
            if one.live or one.merged_into or now - (one.resolved_at or now) < course.REOPENS_WITHIN
        ]  # fmt: skip
        before = len(self.happened)
        for due in due_now(known, Look(found, looked_for), now):
            was = self.incidents.get(due.step.incident.id)
            assert due.was == (None if was is None else was.revision)
            revision = (due.was or 0) + len(due.step.changes)
            self.incidents[due.step.incident.id] = replace(due.step.incident, revision=revision)
            self.happened += [(now, change.kind) for change in due.step.changes]
        live = [one.fingerprint for one in self.incidents.values() if one.live]
        assert len(live) == len(set(live)), "a cause has one live incident in a scope"
        return [kind for _, kind in self.happened[before:]]

    @property
    def only(self) -> Incident:
        (incident,) = self.incidents.values()
        return incident


def test_it_opens_holds_eases_and_is_over_after_the_hold_down() -> None:
    log = Log()
    assert log.look(at(1), finding()) == [ChangeKind.OPENED]
    assert log.look(at(2), finding()) == []
    assert log.look(at(3)) == [ChangeKind.EASED]
    assert log.only.live
    assert course.resolves_at(log.only) == at(3) + course.HOLD_DOWN
    assert log.look(at(10), finding()) == [ChangeKind.RETURNED]
    assert log.look(at(11)) == [ChangeKind.EASED]
    assert log.look(at(40)) == []
    assert log.look(at(41)) == [ChangeKind.RESOLVED]
    assert (log.only.state, log.only.resolved_by) == (IncidentState.RESOLVED, SERVICE)


def test_a_worker_that_is_replaced_is_no_incident() -> None:
    log = Log()
    for second in range(5):
        assert log.look(at(second), finding(Cause.NO_WORKER, "lane:normal-small")) == []
    assert log.look(at(5), finding(Cause.NO_WORKER, "lane:normal-small")) == [ChangeKind.OPENED]


def test_what_was_not_looked_for_is_not_over() -> None:
    log = Log()
    log.look(at(1), finding())
    for second in range(2, 100):
        assert log.look(at(second), looked_for=EVERY_CAUSE - {Cause.LOOP_BLOCKED}) == []


def test_a_cause_that_comes_back_soon_reopens_and_later_is_another_incident() -> None:
    log = Log()
    log.look(at(0), finding())
    log.look(at(1))
    log.look(at(100))
    assert log.look(at(200), finding(since=200)) == [ChangeKind.REOPENED]
    assert log.only.since == at(0)
    log.look(at(201))
    assert log.look(at(700)) == []
    assert log.look(at(801)) == [ChangeKind.RESOLVED]
    later = 801 + course.REOPENS_WITHIN.total_seconds()
    assert log.look(at(later), finding(since=later)) == [ChangeKind.OPENED]
    assert len(log.incidents) == 2


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 400), st.integers(1, 400)), min_size=5, max_size=25))
def test_however_a_cause_comes_and_goes_it_alerts_at_most_twice_in_ten_minutes(turns: list[tuple[int, int]]) -> None:
    log, now = Log(), 0
    for on, off in turns:
        began = now
        for second in range(now, now + on, 5):
            log.look(at(second), finding(since=began))
        log.look(at(now + on))
        for second in range(now + on, now + on + off, 5):
            log.look(at(second))
        now += on + off
    alerts = [when for when, kind in log.happened if kind in ALERTED]
    for first, third in zip(alerts, alerts[2:], strict=False):
        assert third - first > timedelta(minutes=10)
    log.look(at(now + 601))
    assert log.look(at(now + 1300)) in ([], [ChangeKind.RESOLVED])
    assert not any(one.live for one in log.incidents.values())


def test_twenty_times_on_and_off_in_ten_minutes_is_one_incident() -> None:
    log = Log()
    for turn in range(20):
        for second in range(0, 30, 1):
            log.look(at(30 * turn + second), *([finding(since=30 * turn)] if second < 15 else []))
    assert [kind for _, kind in log.happened if kind in ALERTED] == [ChangeKind.OPENED]


def test_severity_rises_and_never_falls_while_it_lasts() -> None:
    log = Log()
    log.look(at(0), finding(Cause.WORKER_LOST))
    assert [one.severity for one in log.incidents.values()] == [Severity.S4]
    assert log.look(at(1), finding(Cause.WORKER_LOST, blast=Blast(3, 2, 0, 1))) == [ChangeKind.SEVERITY_RAISED]
    assert log.look(at(2), finding(Cause.WORKER_LOST)) == []
    assert [one.severity for one in log.incidents.values()] == [Severity.S2]


def test_what_holds_every_lane_takes_over_what_held_some() -> None:
    log = Log()
    lanes = [finding(Cause.NO_WORKER, f"lane:{name}", -60) for name in ("a", "b")]
    assert log.look(at(0), *lanes) == [ChangeKind.OPENED, ChangeKind.OPENED]
    taken = log.look(at(1), finding(Cause.NO_WORKER, EVERYWHERE, -60))
    assert taken == [ChangeKind.OPENED, ChangeKind.MERGED, ChangeKind.MERGED]
    (whole,) = [one for one in log.incidents.values() if one.live]
    assert (whole.scope, whole.severity) == (EVERYWHERE, Severity.S1)
    assert log.look(at(2), lanes[0]) == []  # a part is well again
    assert log.look(at(8), replace(lanes[0], blast=Blast(jobs=7))) == []
    assert log.incidents[whole.id].blast.jobs == 7
    assert log.look(at(9)) == [ChangeKind.EASED]
    assert log.look(at(39)) == [ChangeKind.RESOLVED]


def test_merged_incidents_last_as_long_as_any_of_their_causes() -> None:
    log = Log()
    one, other = finding(), finding(Cause.NO_PROGRESS, "kind:drill")
    log.look(at(0), one, other)
    first, second = log.incidents.values()
    step = acted(first, Merge(second.id), "ops:Ann", "the same machine", at(1))
    assert step is not None
    log.incidents[first.id] = replace(step.incident, revision=2)
    assert log.look(at(2), one) == []
    assert log.look(at(20), one, looked_for=frozenset({Cause.LOOP_BLOCKED})) == []
    assert [incident.id for incident in log.incidents.values() if incident.live] == [second.id]
    log.look(at(30), looked_for=frozenset({Cause.NO_PROGRESS}))
    assert log.look(at(31)) == [ChangeKind.EASED]


def test_people_cannot_talk_a_cause_away_that_is_seen_but_close_what_waits_for_them() -> None:
    log = Log()
    log.look(at(0), finding())
    assert holds(log.only)
    log.look(at(1))
    assert not holds(log.only)
    quarantine = Log()
    quarantine.look(at(0), finding(Cause.POISON, "kind:drill", latest=at(0)))
    assert not holds(quarantine.only)
    step = acted(quarantine.only, Resolve(), "ops:Ann", None, at(10))
    assert step is not None
    quarantine.incidents[step.incident.id] = replace(step.incident, revision=2)
    assert quarantine.look(at(11), finding(Cause.POISON, "kind:drill", latest=at(0))) == []
    assert quarantine.look(at(12), finding(Cause.POISON, "kind:drill", latest=at(11))) == [ChangeKind.REOPENED]


def test_what_a_person_said_stands_against_what_is_derived() -> None:
    log = Log()
    log.look(at(0), finding(estimate=at(60)))
    assert (log.only.estimate, log.only.estimate_by) == (at(60), SERVICE)
    step = acted(log.only, Estimate(at(3600)), "ops:Ann", "the part is on its way", at(1))
    assert step is not None
    log.incidents[step.incident.id] = step.incident
    log.look(at(7), finding(estimate=at(70)))
    assert (log.only.estimate, log.only.estimate_by) == (at(3600), "ops:Ann")


@pytest.mark.parametrize("wish", [Acknowledge(), Estimate(None)])
def test_the_same_act_twice_changes_nothing(wish: Acknowledge | Estimate) -> None:
    incident = course.opened(uuid4(), finding(), at(0)).incident
    step = acted(incident, wish, "ops:Ann", None, at(1))
    after = incident if step is None else step.incident
    assert acted(after, wish, "ops:Bob", None, at(2)) is None
    assert acted(after, Note(), "ops:Bob", "seen", at(2)) is not None
