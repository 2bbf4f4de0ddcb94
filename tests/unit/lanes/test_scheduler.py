"""The order of release: within the room, fair between customers, nobody starved, at a cost that does not grow."""

import math
from collections.abc import Sequence
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from invoicing.jobs.model import Size
from invoicing.lanes.model import LANES, SIZES, Lane, Waiting, fits, used

from .office import BULK_SMALL, NORMAL_SMALL, UNGUARANTEED, URGENT_SMALL, Office

jobs_of_many = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 2), st.sampled_from(LANES), st.floats(0, 100), st.floats(0.01, 1.0)),
    max_size=40,
)
Jobs = Sequence[tuple[int, int, Lane, float, float]]
rooms = st.fixed_dictionaries({size: st.integers(-1, 8) for size in SIZES})


def office_of(jobs: Jobs) -> Office:
    office = Office()
    for customer, key, lane, order_at, first_s in jobs:
        office.submit(customer, lane, key=key, order_at=order_at, first_s=first_s)
    return office


@given(jobs_of_many, rooms)
def test_what_is_released_fits_and_no_room_stays_while_something_waits_that_would_fit(
    jobs: Jobs, room: dict[Size, int]
) -> None:
    office = office_of(jobs)
    left = dict(room)
    for one in office.release(room):
        assert fits(left, one.lane.size)
        left = used(left, one.lane.size)
    assert not any(fits(left, one.lane.size) for one in office.waiting())


@given(jobs_of_many, st.integers(1, 10))
def test_asking_what_is_next_changes_nothing_and_names_what_is_then_released_in_that_order(
    jobs: Jobs, count: int
) -> None:
    asked, unasked = office_of(jobs), office_of(jobs)
    foreseen = asked.scheduler.blocked(count)
    assert asked.scheduler.blocked(count) == foreseen
    assert asked.release(100)[:count] == foreseen
    assert unasked.release(100)[:count] == foreseen


def test_asking_what_is_next_uses_up_no_share() -> None:
    office = Office()
    office.submit(1, URGENT_SMALL, many=400)
    office.submit(2, BULK_SMALL, order_at=1e9, many=100)
    office.scheduler.charge(UUID(int=2), UUID(int=2000), 1e6)
    got = 0
    for _ in range(200):
        office.scheduler.blocked(3)
        got += office.serve(1)[2]
    assert 8 <= got <= 10


@given(jobs_of_many)
def test_one_room_after_the_other_is_filled_in_the_same_order_as_all_at_once(jobs: Jobs) -> None:
    at_once, one_by_one = office_of(jobs), office_of(jobs)
    together = at_once.release(100)
    assert [one for _ in together for one in one_by_one.release(1)] == together


corrections = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2), st.floats(-2.0, 2.0)), max_size=8)


@given(jobs_of_many, corrections, st.integers(0, 6))
def test_whatever_happened_before_the_next_is_the_one_that_looking_at_everything_finds(
    jobs: Jobs, corrected: Sequence[tuple[int, int, float]], released: int
) -> None:
    office = Office(UNGUARANTEED)
    for place, (customer, key, lane, order_at, first_s) in enumerate(jobs):
        office.submit(customer, lane, key=key, order_at=order_at, first_s=first_s)
        if place % 3 == 2:
            office.release(1)
    office.release(released)
    for customer, key, seconds in corrected:
        office.scheduler.charge(UUID(int=customer), UUID(int=1000 * customer + key), seconds)
    if office.waiting():
        assert office.scheduler.blocked(1) == [looked_up(office)]


def looked_up(office: Office) -> Waiting:
    """Find the next job by the rule as it is written, over everything that waits."""
    customers = office.scheduler._customers
    policy = office.scheduler.policy

    def had(one: Waiting) -> float:
        return customers[one.customer_id].served

    def key_had(one: Waiting) -> float:
        return customers[one.customer_id].keys[one.key_id].served

    firsts = [jobs[0] for jobs in office.queues.values() if jobs]
    heads = [
        min((one for one in firsts if (one.customer_id, one.lane) == name), key=lambda one: (key_had(one), *due(one)))
        for name in {(one.customer_id, one.lane) for one in firsts}
    ]
    least = {lane: min(had(one) for one in heads if one.lane == lane) for lane in {one.lane for one in heads}}

    def entitled(lane: Lane) -> bool:
        return all(least[lane] <= had_there + policy.slack_s + lead(lane, other) for other, had_there in least.items())

    def lead(lane: Lane, other: Lane) -> float:
        return policy.lead_s if SIZES.index(lane.size) < SIZES.index(other.size) else 0.0

    fair = [one for one in heads if entitled(one.lane) and had(one) <= least[one.lane] + policy.slack_s]
    return min(fair, key=lambda one: (policy.delays_s[one.lane.priority][one.lane.size], *due(one)))


def due(one: Waiting) -> tuple[float, UUID]:
    return one.order_at, one.job_id


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 1000))
def test_a_decision_among_two_thousand_customers_looks_at_no_more_than_one_among_a_hundred(seed: int) -> None:
    def looked(customers: int) -> float:
        office = Office()
        for customer in range(1, customers + 1):
            order_at = math.sin(customer + seed) * 100
            office.submit(customer, LANES[customer % 12], order_at=order_at, first_s=0.3, many=3)
        before = sum(ring.looked for ring in office.scheduler._rings)
        for _ in range(200):
            for one in office.release(1):
                office.scheduler.charge(one.customer_id, one.key_id, -0.1, one.lane)
                office.scheduler.ended(one.customer_id)
            office.scheduler.blocked(2)
        return (sum(ring.looked for ring in office.scheduler._rings) - before) / 200

    assert looked(2_000) <= 2 * looked(100) + 20


def test_what_is_out_of_date_does_not_pile_up() -> None:
    office = Office()
    office.submit(1, many=2)
    office.submit(2, many=2)
    office.submit(3, many=2)
    for _ in range(5_000):
        office.scheduler.charge(UUID(int=1), UUID(int=1000), -0.001)
        office.scheduler.charge(UUID(int=1), UUID(int=1000), +0.001)
    ring = office.scheduler._rings[NORMAL_SMALL.place]
    assert len(ring._by_service) + len(ring._behind) + len(ring._ready) < 500
