"""Who is refused: a flood its own customer, an overload bulk first and urgent last, and until when."""

from collections.abc import Mapping
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.customers.model import Allotment
from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import LANES, SIZES, Lane, Policy, Tally
from invoicing.lanes.model.admission import (
    LONGEST_RETRY_S,
    Admitted,
    Applicant,
    Outlook,
    Own,
    Reason,
    Refused,
)

SMALL = Lane(Priority.NORMAL, Size.SMALL)
PROMISE_S = 300.0
QUOTA = dict(zip(SIZES, (8, 7, 6, 5), strict=True))
SLOTS = {lane: QUOTA[lane.size] for lane in LANES}

names = st.sampled_from(["acme", "other", "third", "fourth", "fifth"])
lanes = st.sampled_from(LANES)
amounts = st.tuples(st.integers(1, 5_000), st.floats(0.01, 1e6))
backlogs = st.dictionaries(names, st.dictionaries(lanes, amounts, max_size=4), max_size=5)
weights = st.dictionaries(names, st.floats(0.1, 10), max_size=5)


def who(name: str) -> UUID:
    return uuid5(UUID(int=0), name)


def tallied(backlog: Mapping[str, Mapping[Lane, tuple[int, float]]]) -> dict[UUID, dict[Lane, Tally]]:
    return {
        who(name): {lane: Tally(who(name), lane, waiting, work_s) for lane, (waiting, work_s) in found.items()}
        for name, found in backlog.items()
    }


def outlook(
    backlog: Mapping[str, Mapping[Lane, tuple[int, float]]], weight: Mapping[str, float] | None = None
) -> Outlook:
    allotted = {who(name): Allotment(weight=share) for name, share in (weight or {}).items()}
    return Outlook(tallied(backlog), SLOTS, allotted)


def applicant(name: str, lane: Lane = SMALL, predicted_s: float = 0.5) -> Applicant:
    return Applicant(who(name), lane, predicted_s, PROMISE_S)


def wait(view: Outlook, job: Applicant) -> float:
    decided = view.admit(job)
    assert decided.predicted_s is not None
    return decided.predicted_s


def test_a_flood_is_answered_to_its_own_customer_alone() -> None:
    view = outlook({"acme": {SMALL: (50_000, 50_000.0)}})
    refused = view.admit(applicant("acme"))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.predicted_s, refused.allowed_s) == (Reason.OWN_WORK, 6_250.0, 600.0)
    other = view.admit(applicant("other"))
    assert isinstance(other, Admitted)
    assert other.predicted_s is not None
    assert other.predicted_s < 1.0


@given(lanes, st.floats(1e5, 1e12), lanes, st.floats(0.001, 3_600))
def test_no_flood_of_one_customer_ever_refuses_another(
    flooded: Lane, work_s: float, lane: Lane, predicted_s: float
) -> None:
    view = outlook({"acme": {flooded: (10_000, work_s)}})
    assert isinstance(view.admit(applicant("other", lane, predicted_s)), Admitted)


def test_many_customers_together_are_an_overload_for_who_comes_new() -> None:
    crowd = {f"customer {number}": {SMALL: (10, 10.0)} for number in range(20_000)}
    refused = outlook(crowd).admit(applicant("newcomer"))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.OVERLOAD


@given(backlogs, weights, names, st.sampled_from(SIZES), st.floats(0.001, 1e5), st.floats(1, 1e5))
def test_bulk_is_refused_before_normal_and_normal_before_urgent(
    backlog: dict[str, dict[Lane, tuple[int, float]]],
    weight: dict[str, float],
    name: str,
    size: Size,
    predicted_s: float,
    promise_s: float,
) -> None:
    view = outlook(backlog, weight)
    taken = [
        isinstance(view.admit(Applicant(who(name), Lane(priority, size), predicted_s, promise_s)), Admitted)
        for priority in (Priority.BULK, Priority.NORMAL, Priority.URGENT)
    ]
    assert taken == sorted(taken)


@given(backlogs, weights, names, lanes, names, lanes, st.floats(0.01, 1e5))
def test_more_work_never_makes_a_wait_shorter(
    backlog: dict[str, dict[Lane, tuple[int, float]]],
    weight: dict[str, float],
    name: str,
    lane: Lane,
    whose: str,
    where: Lane,
    more_s: float,
) -> None:
    waiting, work_s = backlog.get(whose, {}).get(where, (0, 0.0))
    fuller = backlog | {whose: backlog.get(whose, {}) | {where: (waiting + 1, work_s + more_s)}}
    job = applicant(name, lane)
    before, after = wait(outlook(backlog, weight), job), wait(outlook(fuller, weight), job)
    assert after >= before * (1 - 1e-6) - 1e-6


@given(backlogs, names, lanes, st.floats(0.001, 1e6), st.floats(1, 1e6))
def test_what_is_let_through_without_a_closer_look_would_pass_it(
    backlog: dict[str, dict[Lane, tuple[int, float]]], name: str, lane: Lane, predicted_s: float, promise_s: float
) -> None:
    view = outlook(backlog)
    own = view.own(who(name))
    if view.plenty(who(name), lane, promise_s, own, 0.0):
        assert isinstance(view.admit(Applicant(who(name), lane, predicted_s, promise_s), own), Admitted)


@given(backlogs, weights, names, lanes)
def test_a_wait_is_within_both_bounds_that_can_be_worked_out_by_hand(
    backlog: dict[str, dict[Lane, tuple[int, float]]], weight: dict[str, float], name: str, lane: Lane
) -> None:
    """All the work there is over the slots, and the fair share of the customer; a turn of each other one aside."""
    view, job = outlook(backlog, weight), applicant(name, lane, 0.0)
    predicted = wait(view, job)
    at_most = set(SIZES[: SIZES.index(lane.size) + 1])
    everything = sum(
        work_s for found in backlog.values() for other, (_, work_s) in found.items() if other.size in at_most
    )
    own = sum(work_s for other, (_, work_s) in backlog.get(name, {}).items() if other.size in at_most)
    active = sum(weight.get(one, 1.0) for one in {*backlog, name})
    share = own * active / weight.get(name, 1.0)
    slots = SLOTS[lane]
    assert predicted <= everything / slots * (1 + 1e-9) + 1e-6
    assert predicted <= share / slots * (1 + 1e-9) + 1e-6


def test_nobody_working_means_nothing_is_known_and_everything_is_taken_in() -> None:
    view = Outlook(tallied({"acme": {SMALL: (50_000, 50_000.0)}}))
    assert view.admit(applicant("acme")) == Admitted(None)


def test_a_paused_lane_takes_in_and_holds_nobody_else_up() -> None:
    backlog = tallied({"acme": {SMALL: (50_000, 50_000.0)}})
    view = Outlook(backlog, SLOTS, paused=frozenset({SMALL}))
    assert view.admit(applicant("acme")) == Admitted(None)
    bulk = view.admit(applicant("acme", Lane(Priority.BULK, Size.SMALL)))
    assert bulk == Admitted(0.0)


def test_a_paused_customer_is_taken_in_as_long_as_it_may_have_more_waiting() -> None:
    backlog = tallied({"acme": {SMALL: (3, 0.0)}, "other": {SMALL: (50_000, 50_000.0)}})
    known = Outlook(backlog, SLOTS, {who("acme"): Allotment(max_waiting=4)}, on_hold=frozenset({who("acme")}))
    assert known.admit(applicant("acme")) == Admitted(None)
    assert isinstance(known.admit(applicant("other")), Refused)
    full = known.admit(applicant("acme"), Own(tallied({"acme": {SMALL: (4, 0.0)}})[who("acme")]))
    assert isinstance(full, Refused)
    assert (full.reason, full.retry_after_s) == (Reason.OWN_LIMIT, 60)


def test_a_customer_may_have_so_many_waiting_and_no_more() -> None:
    most = {who("acme"): Allotment(max_waiting=3)}
    three = Outlook(tallied({"acme": {SMALL: (2, 2.0), Lane(Priority.BULK, Size.HUGE): (1, 1.0)}}), {}, most)
    refused = three.admit(applicant("acme"))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.waiting, refused.most, refused.retry_after_s) == (Reason.OWN_LIMIT, 3, 3, 60)
    two = Outlook(tallied({"acme": {SMALL: (2, 2.0)}}), {}, most)
    assert isinstance(two.admit(applicant("acme")), Admitted)
    usual = Outlook(tallied({"acme": {SMALL: (10, 2.0)}}), SLOTS, policy=Policy(max_waiting=10))
    assert isinstance(usual.admit(applicant("acme")), Refused)


def test_who_may_have_one_job_running_waits_for_its_own_work_one_by_one() -> None:
    one = {who("acme"): Allotment(max_running=1)}
    view = Outlook(tallied({"acme": {SMALL: (100, 100.0)}}), SLOTS, one)
    assert wait(view, applicant("acme")) == 100.0


def test_weight_shortens_the_wait() -> None:
    backlog = {"acme": {SMALL: (100, 100.0)}, "other": {SMALL: (10_000, 10_000.0)}}
    assert wait(outlook(backlog), applicant("acme", SMALL, 0.0)) == pytest.approx(200 / 8)
    assert wait(outlook(backlog, {"acme": 4.0}), applicant("acme", SMALL, 0.0)) == pytest.approx(125 / 8)


def test_nobody_is_sent_away_for_longer_than_an_hour_nor_for_no_time_at_all() -> None:
    for work_s, least, most in [(1e9, LONGEST_RETRY_S, LONGEST_RETRY_S), (4_800.1, 1, 1)]:
        refused = outlook({"acme": {SMALL: (10, work_s)}}).admit(applicant("acme"))
        assert isinstance(refused, Refused)
        assert least <= refused.retry_after_s <= most
