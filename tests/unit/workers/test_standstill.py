"""Time in which a child did not get on counts once, whatever the reasons."""

from workers.standstill import Standstill, Why


def test_time_is_counted_while_it_lasts_and_kept_afterwards() -> None:
    still = Standstill()
    assert still.total(5.0) == 0.0
    still.begin(Why.WARMING, 10.0)
    assert (still.total(12.0), still.lasts(Why.WARMING, 12.0)) == (2.0, 2.0)
    still.end(Why.WARMING, 13.0)
    assert (still.total(20.0), still.lasts(Why.WARMING, 20.0)) == (3.0, 0.0)


def test_two_reasons_at_once_count_once() -> None:
    still = Standstill()
    still.begin(Why.WARMING, 10.0)
    still.begin(Why.FROZEN, 12.0)
    still.end(Why.WARMING, 15.0)
    assert still.total(16.0) == 6.0
    still.end(Why.FROZEN, 17.0)
    assert still.total(30.0) == 7.0


def test_saying_twice_that_it_begins_or_ends_changes_nothing() -> None:
    still = Standstill()
    still.end(Why.FROZEN, 1.0)
    still.begin(Why.FROZEN, 2.0)
    still.begin(Why.FROZEN, 3.0)
    still.end(Why.FROZEN, 4.0)
    still.end(Why.FROZEN, 5.0)
    assert still.total(9.0) == 2.0
