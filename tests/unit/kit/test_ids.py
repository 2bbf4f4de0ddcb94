"""Ids sort by the time they were made."""

import time
from concurrent.futures import ThreadPoolExecutor

from invoicing.kit.ids import new_id


def test_ids_rise_strictly_even_within_a_millisecond() -> None:
    ids = [new_id() for _ in range(20_000)]
    assert ids == sorted(set(ids))


def test_an_id_is_a_version_7_uuid_of_its_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    # a burst before may have run a little ahead of the clock
    assert before <= made.int >> 80 <= after + 10


def test_threads_never_share_an_id_and_each_sees_its_own_rise() -> None:
    with ThreadPoolExecutor(8) as threads:
        of_threads = list(threads.map(lambda _: [new_id() for _ in range(2_000)], range(8)))
    assert len({one for ids in of_threads for one in ids}) == 16_000
    assert all(ids == sorted(ids) for ids in of_threads)
