"""The dispatcher rests while much lies ready: never for longer than that lasts, nor than half a second."""

import time
from uuid import uuid4

import pytest

from invoicing.jobs.model import Size
from invoicing.lanes.leading import Lead
from invoicing.lanes.model import LANES, SIZES, Policy
from invoicing.lanes.model.resting import Ends, rest_s
from invoicing.lanes.model.room import Capacity
from invoicing.lanes.surroundings import Surroundings

SLOTS = 3


def lead(usual_s: float) -> Lead:
    """Lead a worker's three slots, where small jobs took so long lately."""
    each = dict.fromkeys(SIZES, SLOTS)
    capacity = Capacity({uuid4(): each}, each, SLOTS, dict.fromkeys(LANES, SLOTS))
    leading = Lead(Surroundings(capacity, Policy(), {}), {})
    leading.meter.pace[Size.SMALL] = usual_s
    return leading


@pytest.mark.parametrize(("usual_s", "at_least_s"), [(0.05, 0.05), (20.0, 0.25)])
def test_it_looks_again_within_a_second_whatever_an_outage_made_of_the_pace(usual_s: float, at_least_s: float) -> None:
    leading, before = lead(usual_s), time.monotonic()
    leading._rest(ready=SLOTS * 8)
    assert leading._count_at - before > at_least_s
    assert leading._count_at - time.monotonic() < 1.0


@pytest.mark.parametrize(
    ("took_s", "under_way", "ready", "slots", "ends_per_s", "expected_s"),
    [
        (0.01, 200, 0, 4, 0.0, 0.0),  # little is under way: reading it costs nothing
        (0.01, 4_000, 0, 4_000, 100.0, 0.05),  # a large fleet, every slot taken: a fifth of the time goes into reading
        (0.01, 1_000, 1_600, 4, 5_000.0, 0.05),  # what lies ready lasts for longer than that
        (0.01, 1_000, 100, 4, 5_000.0, 0.00504),  # a quarter of it is used up sooner
        (0.01, 1_000, 0, 4, 5_000.0, 0.00004),  # nothing lies ready: the slots would be idle
        (1.0, 1_000, 1_600, 4, 500.0, 0.5),  # reading was slow for once
        (1.0, 1_000, 800, 4, 0.0, 0.5),  # nothing is known of how many end
    ],
)
def test_reading_what_is_under_way_is_put_off_only_while_the_slots_have_work(
    took_s: float, under_way: int, ready: int, slots: int, ends_per_s: float, expected_s: float
) -> None:
    rest = rest_s(took_s=took_s, under_way=under_way, ready=ready, slots=slots, usual_s=None, ends_per_s=ends_per_s)
    assert rest == pytest.approx(expected_s)


def test_ends_that_are_written_at_once_are_counted_over_a_while() -> None:
    ends = Ends()
    for count, now in ((0, 10.0), (245, 10.01), (0, 10.02), (245, 10.1)):
        ends.note(count, now)
    assert ends.per_s == pytest.approx(4_900)
    ends.note(0, 11.1)
    assert ends.per_s == 0.0
