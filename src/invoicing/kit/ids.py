"""Identifiers that sort by the time they were made (UUID version 7, RFC 9562 section 5.7)."""

import os
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last = 0


def new_id() -> UUID:
    """Make a UUIDv7; ids of one process rise strictly, even within a millisecond.

    The 12 bits behind the millisecond hold its fraction (RFC 9562 section 6.2, method 3), so that
    pages ordered by id are pages ordered by arrival.
    """
    global _last  # noqa: PLW0603 - the last instant given out is what makes ids rise
    with _lock:
        instant = max((time.time_ns() << 12) // 1_000_000, _last + 1)
        _last = instant
    random = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return UUID(int=(instant >> 12) << 80 | 7 << 76 | (instant & 0xFFF) << 64 | 0b10 << 62 | random)
