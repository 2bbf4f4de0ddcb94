"""Runways are as long as hides a round trip, and no slot of a worker that is full counts for another."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import LANES, POLICY, SIZES, Lane, Running, Worker
from invoicing.lanes.model.room import MOST_PER_SLOT, ahead, capacity, free, room

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL = tuple(lane.name for lane in LANES)


def worker(**changes: object) -> Worker:
    one = Worker(uuid4(), "host", 1, "1", 4, ALL, ("drill",), NOW, NOW, NOW, stopping=False, alive=True)
    return replace(one, **changes)  # type: ignore[arg-type]  # any field


def running(on: UUID, size: Size) -> Running:
    return Running(uuid4(), 1, uuid4(), uuid4(), Lane(Priority.NORMAL, size), 0.0, 0.0, on)


def test_workers_that_are_gone_or_stop_offer_nothing() -> None:
    assert capacity([(worker(alive=False), 4, POLICY), (worker(stopping=True), 4, POLICY)]).slots == 0


def test_a_lane_has_the_slots_of_the_workers_that_serve_it() -> None:
    found = capacity([(worker(), 4, POLICY), (worker(lanes=("urgent-small",)), 4, POLICY)])
    assert found.served[Lane(Priority.URGENT, Size.SMALL)] == 10
    assert found.served[Lane(Priority.NORMAL, Size.SMALL)] == 5


def test_a_worker_full_of_large_work_has_no_room_for_more_though_another_has() -> None:
    one, other = worker(), worker()
    both = capacity([(one, 4, POLICY), (other, 4, POLICY)])
    assert both.idle == {Size.SMALL: 10, Size.MEDIUM: 8, Size.LARGE: 6, Size.HUGE: 6}
    left = free(both, [(one.id, Size.LARGE)] * 4)
    assert left == {Size.SMALL: 7, Size.MEDIUM: 5, Size.LARGE: 3, Size.HUGE: 3}


def test_what_runs_on_a_worker_that_is_gone_takes_no_room_from_the_others() -> None:
    one = worker()
    found = capacity([(one, 4, POLICY)])
    assert free(found, [(uuid4(), Size.LARGE)]) == found.idle


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        ({}, {Size.SMALL: 8, Size.MEDIUM: 0, Size.LARGE: 0, Size.HUGE: 0}),
        ({Size.SMALL: 0.02, Size.MEDIUM: 5.0}, {Size.SMALL: 40, Size.MEDIUM: 0, Size.LARGE: 0, Size.HUGE: 0}),
        ({Size.SMALL: 0.0}, {Size.SMALL: 8 * MOST_PER_SLOT, Size.MEDIUM: 0, Size.LARGE: 0, Size.HUGE: 0}),
        ({Size.SMALL: 0.5}, {Size.SMALL: 8, Size.MEDIUM: 0, Size.LARGE: 0, Size.HUGE: 0}),
        ({Size.MEDIUM: 0.2}, {Size.SMALL: 8, Size.MEDIUM: 4, Size.LARGE: 0, Size.HUGE: 0}),
    ],
)
def test_the_shorter_jobs_are_the_more_of_them_lie_ready(pace: dict[Size, float], expected: dict[Size, int]) -> None:
    found = capacity([(worker(), 4, POLICY), (worker(), 4, POLICY)])
    assert ahead(found, pace, POLICY) == expected


def test_nobody_lies_ready_where_nobody_serves() -> None:
    assert set(ahead(capacity([]), {Size.SMALL: 0.0}, POLICY).values()) == {0}


def test_what_is_on_the_runway_is_taken_off_for_its_class_and_those_below() -> None:
    left = room(dict.fromkeys(SIZES, 5), dict.fromkeys(SIZES, 2), {Size.SMALL: 3, Size.LARGE: 1})
    assert left == {Size.SMALL: 3, Size.MEDIUM: 6, Size.LARGE: 6, Size.HUGE: 7}
