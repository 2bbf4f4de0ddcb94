"""The dispatcher rests while much lies ready, never for as long as an outage made the last jobs seem to take."""

import time
from uuid import uuid4

import pytest

from invoicing.jobs.model import Size
from invoicing.lanes.leading import Lead
from invoicing.lanes.model import LANES, SIZES, Policy
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
