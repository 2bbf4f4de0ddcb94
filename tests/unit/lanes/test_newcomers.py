"""Who may still come is supposed from who came lately; a place is told with the band that this makes."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import POLICY, Lane, Scheduler, Waiting, quotas
from invoicing.lanes.model.line import Ahead, banded, line_of, play
from invoicing.lanes.model.newcomers import MOST, Arrival, Coming, Newcomer, newcomers

NOW = 1_000.0
ONE, TWO, KEY = UUID(int=1_001), UUID(int=1_002), UUID(int=1_003)
NORMAL, URGENT = Lane(Priority.NORMAL, Size.SMALL), Lane(Priority.URGENT, Size.SMALL)


def waiting(number: int, customer: UUID = ONE, lane: Lane = NORMAL, order_at: float = NOW) -> Waiting:
    return Waiting(UUID(int=2_000 + number), 1, customer, KEY, lane, order_at, 1.0)


def test_what_came_lately_comes_again_in_its_order_and_at_its_pace() -> None:
    lately = [Arrival(2.0, waiting(2, order_at=NOW - 2.0 + 20.0)), Arrival(8.0, waiting(1, TWO, URGENT, NOW - 8.0))]
    found = newcomers(lately, 10.0, NOW)
    assert [one.in_s for one in found[:4]] == [2.0, 8.0, 12.0, 18.0]
    assert [one.as_waiting.customer_id for one in found[:4]] == [TWO, ONE, TWO, ONE]
    assert [one.as_waiting.order_at for one in found[:2]] == [NOW + 2.0, NOW + 8.0 + 20.0]
    assert len({one.as_waiting.job_id for one in found}) == len(found) == MOST
    assert newcomers([], 10.0, NOW) == ()


def order(coming: Sequence[Newcomer]) -> list[int]:
    """Play ten normal jobs of one customer on two slots and the spare one; newcomers have numbers below 2,000."""
    scheduler = Scheduler(POLICY)
    jobs = [waiting(number) for number in range(10)]
    scheduler.show(jobs[0].queue, jobs)
    found = play(scheduler, [], [], quotas(2), coming=Coming(coming, 10))
    return [one.job_id.int - 2_000 for one in found.started]


def test_newcomers_go_before_only_where_their_claim_is_better() -> None:
    assert order([]) == list(range(10))
    later = [Newcomer(1.5, waiting(-5, order_at=NOW + 1.5 + 20.0))]
    assert order(later)[:10] == list(range(10))
    others = [Newcomer(1.5, waiting(-5, TWO, URGENT, NOW + 1.5))]
    assert 3 <= order(others).index(-5) <= 6


@pytest.mark.parametrize("jobs", [1, 10])
def test_the_play_ends_however_many_are_supposed_to_come(jobs: int) -> None:
    lately = [Arrival(1.0, waiting(number, TWO)) for number in range(jobs)]
    assert set(range(10)) <= set(order(newcomers(lately, 1.0, NOW)))


def test_a_band_holds_the_place_and_is_open_where_not_all_was_looked_at() -> None:
    line = line_of([waiting(number) for number in range(30)], {}, 1.0)
    for then in (0, 5, 20):
        found = banded(Ahead(5), line.ahead(UUID(int=2_000 + then)))
        assert found.fewest <= 5
        assert found.at_most is not None
        assert found.at_most >= max(5, then)
    assert banded(Ahead(5, at_least=True), None).at_most is None
