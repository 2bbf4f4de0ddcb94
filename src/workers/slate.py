"""A page of memory that a worker shares with a child: what the child is at can be read though it cannot be asked."""

import mmap
import struct

BYTES = mmap.PAGESIZE
_NUMBER = struct.Struct("=I")


class Slate:
    """Says how many of the jobs that it was given together the child has begun."""

    def __init__(self, descriptor: int) -> None:
        """Share the page of an open file of `BYTES` bytes; it may be closed afterwards."""
        self._page = mmap.mmap(descriptor, BYTES)

    @property
    def begun(self) -> int:
        """How many have begun; the last of them has not ended, as far as the child has said."""
        number: int = _NUMBER.unpack_from(self._page)[0]
        return number

    @begun.setter
    def begun(self, count: int) -> None:
        _NUMBER.pack_into(self._page, 0, count)
