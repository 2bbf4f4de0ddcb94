"""Who is served: shares of customers, keys, classes and priorities; caps, weights and pauses."""

from collections import Counter
from dataclasses import replace
from uuid import UUID

import pytest

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import POLICY, SIZES, Lane

from .office import BULK_SMALL, NORMAL_HUGE, NORMAL_SMALL, UNGUARANTEED, URGENT_SMALL, Office


@pytest.mark.parametrize("keys", [1, 10])
@pytest.mark.parametrize("lane", [NORMAL_SMALL, URGENT_SMALL, BULK_SMALL])
def test_neither_more_keys_nor_another_priority_gains_more_than_the_own_share(keys: int, lane: Lane) -> None:
    office = Office(UNGUARANTEED)
    for key in range(keys):
        office.submit(1, lane, key=key, many=400 // keys)
    office.submit(2, many=400)
    served = office.serve(200)
    assert abs(served[1] - served[2]) <= 2


def test_calling_everything_urgent_gains_nothing_under_the_usual_guarantees_either() -> None:
    office = Office()
    office.submit(1, URGENT_SMALL, many=400)
    office.submit(2, many=400)
    served = office.serve(200)
    assert served[1] <= served[2] + 2


def test_keys_of_one_customer_share_what_it_is_given() -> None:
    office = Office()
    office.submit(1, key=1, many=300)
    office.submit(1, key=2, many=30)
    taken = [office.release(1)[0].key_id.int for _ in range(40)]
    assert abs(taken.count(1001) - taken.count(1002)) <= 1


def test_a_customer_of_twice_the_weight_gets_twice_as_much() -> None:
    office = Office()
    office.scheduler.weigh(UUID(int=1), 2.0)
    office.submit(1, many=300)
    office.submit(2, many=300)
    served = office.serve(150)
    assert abs(served[1] - 2 * served[2]) <= 3


def test_who_was_away_starts_level_with_the_others_and_has_saved_nothing_up() -> None:
    office = Office()
    office.submit(1, many=400)
    office.submit(3, many=400)
    office.submit(2, many=1)
    office.serve(200)
    office.submit(2, many=400)
    assert 29 <= office.serve(90)[2] <= 31


def test_who_waits_for_room_loses_no_claim_while_others_are_served() -> None:
    office = Office(UNGUARANTEED)
    office.submit(1, NORMAL_HUGE, many=100)
    office.submit(2, many=200)
    for _ in range(100):
        office.release({**dict.fromkeys(SIZES, 1), Size.HUGE: 0})
        office.scheduler.ended(UUID(int=2))
    served = office.serve(50)
    assert served == {1: 50}


def test_accounts_are_even_again_once_nobody_waits() -> None:
    office = Office()
    office.submit(1, many=50)
    office.serve(50)
    office.release(1)
    office.submit(1, many=100)
    office.submit(2, many=100)
    served = office.serve(40)
    assert abs(served[1] - served[2]) <= 1


def test_what_was_charged_too_much_is_given_back() -> None:
    office = Office()
    office.submit(1, many=50)
    office.submit(2, many=50)
    office.serve(20)
    office.scheduler.charge(UUID(int=1), UUID(int=1000), -5.0)
    assert office.serve(5) == {1: 5}


def test_however_long_larger_work_has_waited_new_small_work_goes_first() -> None:
    office = Office()
    office.submit(1, Lane(Priority.NORMAL, Size.MEDIUM), order_at=0.0, many=5)
    office.submit(2, order_at=1e6)
    assert [one.customer_id.int for one in office.release(1)] == [2]


def test_smaller_work_starts_first_but_nobody_lives_on_it() -> None:
    office = Office(UNGUARANTEED)
    office.submit(1, NORMAL_HUGE, order_at=7200.0, many=50)
    office.submit(2, order_at=20.0, many=500)
    lead = round(POLICY.lead_s)
    assert set(office.serve(lead)) == {2}
    served = office.serve(60)
    assert abs(served[1] - served[2]) <= 2


@pytest.mark.parametrize("lane", [BULK_SMALL, NORMAL_HUGE, Lane(Priority.BULK, Size.MEDIUM)])
def test_a_class_or_priority_gets_its_share_however_long_more_urgent_customers_keep_coming(lane: Lane) -> None:
    office = Office()
    office.submit(1, lane, order_at=1e9, many=400)
    got: list[int] = []
    for round_ in range(2000):
        office.submit(10 + round_, URGENT_SMALL, order_at=0.0)
        got += [place for place in [round_] for one in office.release(1) if one.lane == lane]
    longest = max(later - earlier for earlier, later in zip([0, *got], [*got, 2000], strict=True))
    assert len(got) >= 0.05 * 2000 - 2
    assert longest <= 1 / 0.05 + 2


def test_a_share_is_used_or_lost() -> None:
    office = Office()
    office.submit(1, URGENT_SMALL, many=1000)
    office.serve(500)
    office.submit(2, BULK_SMALL, order_at=1e9, many=100)
    office.scheduler.charge(UUID(int=2), UUID(int=2000), 1e6)  # so that nothing but the guarantee speaks for it
    assert office.serve(100)[2] <= 0.05 * 100 + 1


def crowd(office: Office, customers: int = 20) -> None:
    """Have customers whose small work keeps all slots busy."""
    for customer in range(101, 101 + customers):
        office.submit(customer, many=400)


def test_a_customers_large_work_that_gets_its_guaranteed_share_does_not_hold_up_its_own_urgent_work() -> None:
    office = Office()
    crowd(office)
    office.submit(1, NORMAL_HUGE, order_at=1e9, many=100)
    assert office.serve(400)[1] >= 18  # the share of its class, by no means its own share
    office.submit(1, URGENT_SMALL, order_at=0.0, many=1)
    starts = [office.release(1)[0].lane for _ in range(60)]
    assert starts.index(URGENT_SMALL) <= 21  # one turn of each other customer, and one of the class


def test_who_has_work_in_a_class_that_gets_its_share_gains_no_more_than_that_share() -> None:
    office = Office()
    office.submit(2, many=2000)
    office.submit(1, many=2000)
    office.submit(1, NORMAL_HUGE, order_at=1e9, many=2000)
    served = office.serve(1000)
    assert served[1] <= (0.95 / 2 + 0.05) * 1000 + 10


def test_what_was_started_out_of_turn_and_took_less_than_predicted_earns_nothing() -> None:
    office = Office()
    crowd(office, 5)
    office.submit(1, BULK_SMALL, order_at=1e9, many=400)
    office.submit(1, many=400)
    in_turn: Counter[int] = Counter()
    for _ in range(600):
        for one in office.release(1):
            used = 0.1 if one.lane == BULK_SMALL else one.first_s
            office.scheduler.charge(one.customer_id, one.key_id, used - one.first_s, one.lane)
            office.scheduler.ended(one.customer_id)
            in_turn[one.customer_id.int] += one.lane == NORMAL_SMALL
    assert in_turn[1] <= in_turn[101] + 2


def test_customers_whose_work_gets_the_share_of_its_class_have_equal_parts_of_it() -> None:
    office = Office()
    crowd(office)
    for customer in (1, 2):
        office.submit(customer, NORMAL_HUGE, order_at=1e9 + customer, many=200)
    served = office.serve(1200)
    assert served[1] + served[2] >= 0.05 * 1200 - 2
    assert abs(served[1] - served[2]) <= 2


def test_a_customer_at_its_cap_is_passed_over_and_named() -> None:
    office = Office()
    office.scheduler.limit(UUID(int=1), 2)
    office.submit(1, many=5)
    office.submit(2, many=5)
    taken = office.release(10)
    assert Counter(one.customer_id.int for one in taken) == {1: 2, 2: 5}
    assert set(office.scheduler.full()) == {UUID(int=1)}
    office.scheduler.ended(UUID(int=1))
    assert not office.scheduler.full()
    assert [one.customer_id.int for one in office.release(10)] == [1]
    office.scheduler.limit(UUID(int=1), None)
    assert len(office.release(10)) == 2


def test_a_paused_customer_starts_nothing_whatever_of_it_runs_and_saves_nothing_up_meanwhile() -> None:
    office = Office()
    acme = UUID(int=1)
    office.submit(1, many=300)
    office.submit(2, many=300)
    office.serve(20)
    office.scheduler.limit(acme, 0)
    assert office.serve(100) == {2: 100}
    assert {one.customer_id for one in office.scheduler.blocked(10)} == {UUID(int=2)}
    office.scheduler.limit(acme, None)
    assert abs(office.serve(40)[1] - 20) <= 1


def test_who_leads_next_counts_nothing_up_from_what_a_paused_customer_had() -> None:
    office, successor = Office(), Office()
    office.submit(1, many=5)
    office.submit(2, many=300)
    office.scheduler.limit(UUID(int=1), 0)
    office.serve(100)
    successor.scheduler.restore(office.scheduler.counters())
    successor.submit(2, many=100)
    successor.submit(3, many=100)
    assert abs(successor.serve(40)[3] - 20) <= 1


def test_asking_what_is_next_respects_caps_and_pauses_and_restores_them() -> None:
    office = Office()
    office.scheduler.limit(UUID(int=1), 1)
    office.submit(1, many=5)
    office.submit(2, URGENT_SMALL, many=2)
    assert [one.customer_id.int for one in office.scheduler.blocked(10, {URGENT_SMALL: 0})] == [1]
    assert len(office.release(10)) == 3


def test_a_paused_lane_releases_nothing_and_a_bounded_one_no_more() -> None:
    office = Office()
    office.submit(1, URGENT_SMALL, many=5)
    office.submit(2, many=5)
    taken = office.release(20, {URGENT_SMALL: 0, NORMAL_SMALL: 3})
    assert [one.lane for one in taken] == [NORMAL_SMALL] * 3


def test_accounts_survive_a_change_of_leader() -> None:
    office, successor = Office(), Office()
    office.submit(1, many=400)
    office.submit(2, many=400)
    office.scheduler.charge(UUID(int=1), UUID(int=1000), 30.0)
    successor.scheduler.restore(office.scheduler.counters())
    successor.submit(1, many=100)
    successor.submit(2, many=100)
    assert successor.serve(30) == {2: 30}


def test_another_policy_decides_at_once() -> None:
    office = Office(UNGUARANTEED)
    office.submit(1, NORMAL_HUGE, order_at=7200.0, many=50)
    office.submit(2, order_at=20.0, many=50)
    office.scheduler.adopt(replace(UNGUARANTEED, lead_s=0.0, slack_s=0.0))
    served = office.serve(20)
    assert abs(served[1] - served[2]) <= 1
