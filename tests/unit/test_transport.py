"""What travels through Redis is a ticket, in a form that no stranger's text can be mistaken for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.kit.ids import new_id
from invoicing.lanes.model import LANES
from invoicing.transport import as_json, from_json, queue_of, ticket_of, ticket_text


@given(st.uuids(), st.integers(1, 2**31 - 1))
def test_a_ticket_is_read_back_as_it_was_written(job_id: object, attempt: int) -> None:
    ticket = (job_id, attempt)
    assert ticket_of(ticket_text(ticket)) == ticket  # type: ignore[arg-type]  # hypothesis draws a UUID


def test_a_ticket_is_the_job_and_the_attempt() -> None:
    job_id = new_id()
    assert ticket_text((job_id, 3)) == f"{job_id}:3"


_JOB = "0199a3c2-0000-7000-8000-000000000001"


@pytest.mark.parametrize("text", ["", ":", "x:1", _JOB, f"{_JOB}:", f"{_JOB}:one"])
def test_what_is_no_ticket_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"badly formed|invalid literal"):
        ticket_of(text)


def test_every_lane_has_a_queue_of_its_own() -> None:
    assert len({queue_of(lane.name) for lane in LANES}) == len(LANES)


def test_serialised_is_json() -> None:
    assert as_json({"a": (1, "x")}) == b'{"a":[1,"x"]}'
    assert from_json(b'{"a":[1,"x"]}') == {"a": [1, "x"]}
    with pytest.raises(TypeError):
        as_json(object())
