"""Of what an incident stands for, only what holds now is told; a time by which there is more is always told."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from invoicing.incidents.model.causes import EVERYWHERE, Cause, host_scope, kind_scope, lane_scope
from invoicing.incidents.model.combining import combined
from invoicing.incidents.model.course import opened
from invoicing.incidents.model.incident import Finding, Incident, Reach
from invoicing.incidents.model.notices import AFTER_THE_ESTIMATE, NEXT_AFTER, next_update, standing, subjects_of
from invoicing.incidents.model.public import Disruption, together

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def lane(name: str) -> Finding:
    """Find it as the conditions of lanes tell it: they count workers."""
    return Finding(Cause.NO_WORKER, lane_scope(name), NOW, {"workers": 0}, reach=Reach(lanes=frozenset({name})))


FAILING = Finding(
    Cause.DEPENDENCY_DOWN, kind_scope("drill", "e"), NOW, {"kind": "drill", "error": "e"},
    reach=Reach(kinds=frozenset({"drill"}), error="e"),
)  # fmt: skip


def incident(number: int, finding: Finding) -> Incident:
    return opened(UUID(int=number), finding, NOW).incident


def held(whole: Incident, *parts: Incident) -> list[tuple[Cause, Any, Any]]:
    return [(one.cause, one.lanes, one.kinds) for one in subjects_of(whole, parts)]


def test_a_cause_holds_its_own_lane_however_far_the_incident_reaches() -> None:
    whole = incident(1, combined([lane("normal-small"), FAILING]))
    assert whole.reach.lanes is None
    first, second = held(whole, incident(2, FAILING))
    assert first == (Cause.NO_WORKER, ["normal-small"], None)
    assert second == (Cause.DEPENDENCY_DOWN, None, ["drill"])


def test_a_part_that_holds_alone_is_all_that_is_told() -> None:
    whole = incident(1, lane("normal-small"))
    now = Incident(**{**vars(whole), "evidence": {}, "reach": lane("bulk-small").reach})
    assert held(now, incident(2, lane("bulk-small"))) == [(Cause.NO_WORKER, ["bulk-small"], None)]
    now = Incident(**{**vars(whole), "evidence": FAILING.evidence, "reach": FAILING.reach})
    assert held(now, incident(2, FAILING)) == [(Cause.DEPENDENCY_DOWN, None, ["drill"])]


def test_a_host_holds_what_its_workers_have_and_a_lane_nobodys() -> None:
    worker = UUID(int=7)
    reach = Reach(workers=frozenset({worker}))
    lost = Finding(Cause.WORKER_LOST, host_scope("host-a"), NOW, {"workers": [str(worker)]}, reach=reach)
    assert [one.workers for one in subjects_of(incident(1, lost), ())] == [[worker]]
    assert [one.workers for one in subjects_of(incident(1, lane("normal-small")), ())] == [None]


def test_what_holds_everything_holds_the_lanes_in_which_something_waits() -> None:
    everywhere = Finding(Cause.UNDELIVERED, EVERYWHERE, NOW, {"lanes": ["bulk-small", "normal-small"]})
    assert held(incident(1, everywhere)) == [(Cause.UNDELIVERED, ["bulk-small", "normal-small"], None)]
    assert held(incident(1, Finding(Cause.WATCHDOG_BLIND, EVERYWHERE, NOW))) == []


def test_an_estimate_that_is_over_is_told_no_more() -> None:
    assert next_update(NOW + HOUR, NOW, first=True) == NOW + HOUR + AFTER_THE_ESTIMATE
    assert next_update(None, NOW, first=True) == NOW + NEXT_AFTER
    assert next_update(NOW - HOUR, NOW, first=False) > NOW + NEXT_AFTER
    assert standing(NOW + HOUR, NOW) == NOW + HOUR
    assert standing(NOW - HOUR, NOW) is None


def test_the_public_is_told_of_each_cause_once() -> None:
    def one(since: int, estimate: int | None) -> Disruption:
        at = None if estimate is None else NOW + estimate * HOUR
        return Disruption(Cause.NO_WORKER, lane_scope("normal-small"), None, NOW + since * HOUR, at)

    (told,) = together([one(2, 4), one(1, 5), one(3, 3)])
    assert (told.since, told.estimate) == (NOW + HOUR, NOW + 5 * HOUR)
    (told,) = together([one(2, 4), one(1, None), one(3, 9)])
    assert told.estimate is None
