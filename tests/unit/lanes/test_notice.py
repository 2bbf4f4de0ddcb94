"""What the dispatcher is told is read as it was meant, and what cannot be read makes it look for itself."""

from uuid import UUID

import pytest

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import Lane, Queue
from invoicing.lanes.model.notice import Notices

QUEUE = Queue(UUID(int=1), UUID(int=2), Lane(Priority.BULK, Size.LARGE))
NAME = f"{QUEUE.customer_id}:{QUEUE.key_id}:bulk:large"


def heard(*texts: str) -> Notices:
    notices = Notices(everywhere=False)
    for text in texts:
        notices.hear(text)
    return notices


def test_queues_are_told_apart_by_what_happened_to_them() -> None:
    other = f"{UUID(int=3)}:{UUID(int=4)}:normal:small"
    found = heard(f"+{NAME},{other}", "-")
    assert found.added == {QUEUE}
    assert found.changed == {Queue(UUID(int=3), UUID(int=4), Lane(Priority.NORMAL, Size.SMALL))}
    assert found.room
    assert not found.everywhere


@pytest.mark.parametrize("text", ["", "x", f"{NAME},", "+", f"{NAME}:more:yet", NAME.replace("bulk", "vast")])
def test_what_names_no_queue_means_to_look_everywhere(text: str) -> None:
    assert heard(text).everywhere


def test_a_dispatcher_that_has_been_told_nothing_yet_looks_everywhere() -> None:
    assert Notices().everywhere
