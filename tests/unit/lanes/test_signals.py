"""The signals for scaling: what waits beside what serves it, and how many slots would do."""

from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from uuid import uuid4

import pytest

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import BY_NAME, LANES, POLICY, Lane, Policy, Worker
from invoicing.lanes.model.signals import SOONEST_S, Signal, Signals, signals_of, slots_wanted

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SMALL, LARGE = BY_NAME["normal-small"], BY_NAME["normal-large"]


def worker(slots: int = 8, host: str = "one", *, alive: bool = True, stopping: bool = False) -> Worker:
    names = tuple(lane.name for lane in LANES)
    return Worker(uuid4(), host, 1, "0", slots, names, (), NOW, NOW, NOW, stopping, alive)


def signals(waiting: dict[Lane, tuple[int, float]], *workers: Worker, paused: frozenset[Lane] = frozenset()) -> Signals:
    return signals_of(waiting, {SMALL: 1}, workers, paused, POLICY, lambda _host: POLICY)


def of(found: Signals, lane: Lane) -> Signal:
    return next(signal for signal in found.lanes if signal.lane == lane)


def test_every_lane_is_told_of_whether_or_not_something_waits_there() -> None:
    assert {signal.lane for signal in signals({}).lanes} == set(LANES)
    assert all(signal.drain_s == 0 for signal in signals({}).lanes)


def test_only_workers_that_take_jobs_count_as_serving() -> None:
    found = signals({}, worker(8), worker(4, stopping=True), worker(16, alive=False))
    assert (found.workers, found.stopping, found.slots) == (1, 1, 8)
    assert of(found, LARGE).slots == 6  # a quarter of them is kept for smaller work


def test_a_host_with_a_policy_of_its_own_offers_what_that_allows() -> None:
    own = replace(POLICY, reserve={**POLICY.reserve, Size.LARGE: 0.75})

    def of_host(host: str) -> Policy:
        return own if host == "two" else POLICY

    found = signals_of({}, {}, [worker(8), worker(8, "two")], frozenset(), POLICY, of_host)
    assert of(found, LARGE).slots == 6 + 2


def test_a_lane_drains_after_what_comes_before_it() -> None:
    waiting = {SMALL: (10, 9.0), LARGE: (1, 600.0), BY_NAME["bulk-small"]: (9, 900.0)}
    found = signals(waiting, worker(8))
    assert of(found, SMALL).drain_s == 1.0  # nine slots serve it
    assert of(found, LARGE).drain_s == pytest.approx(609 / 6)
    assert of(signals(waiting), LARGE).drain_s == inf


def test_a_paused_lane_never_drains_and_asks_for_no_slot() -> None:
    found = signals({SMALL: (100, 5_000.0)}, worker(8), paused=frozenset({SMALL}))
    assert of(found, SMALL).drain_s == inf
    assert of(found, SMALL).paused
    assert found.wanted == 1  # for what runs


@pytest.mark.parametrize(
    ("waiting", "wanted"),
    [
        ({}, 0),
        ({SMALL: (1, 0.2)}, 1),
        ({SMALL: (1_000, 200.0)}, 10),  # due in 20 s
        ({LARGE: (60, 6_000.0)}, 10),  # due in 600 s
        ({SMALL: (1_000, 200.0), LARGE: (60, 6_000.0)}, 11),  # the large work fills in after the small: 6,200 s in 600
        ({LARGE: (2, 100_000.0)}, 2),  # no job uses two slots
        ({Lane(Priority.URGENT, Size.SMALL): (900, 90.0)}, 9),  # due at once: as soon as a new worker could begin
    ],
)
def test_as_many_slots_are_wanted_as_have_it_done_when_it_is_due(
    waiting: dict[Lane, tuple[int, float]], wanted: int
) -> None:
    assert SOONEST_S == 10
    assert slots_wanted(waiting, POLICY) == wanted


def test_a_worker_that_is_busy_is_not_scaled_away() -> None:
    found = signals_of({}, {LARGE: 7}, [worker(8)], frozenset(), POLICY, lambda _host: POLICY)
    assert found.wanted == 7
