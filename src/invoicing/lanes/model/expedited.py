"""The few jobs that our staff put before the fair order."""

from collections.abc import Iterable, Iterator
from uuid import UUID

from invoicing.lanes.model.waiting import Queue, Waiting


class Expedited:
    """Those of them that wait."""

    def __init__(self) -> None:
        """Start with none."""
        self._waiting: dict[UUID, Waiting] = {}

    def __iter__(self) -> Iterator[Waiting]:
        """Go through them."""
        return iter(self._waiting.values())

    def __len__(self) -> int:
        """How many there are."""
        return len(self._waiting)

    def note(self, queue: Queue, heads: Iterable[Waiting]) -> None:
        """Keep those among the first jobs of a queue, and none that it had before."""
        if self._waiting:
            for job_id in [one.job_id for one in self if one.queue == queue]:
                del self._waiting[job_id]
        for one in heads:
            self.put(one)

    def put(self, one: Waiting) -> None:
        """Keep a job that waits, if it is one of them."""
        if one.expedited:
            self._waiting[one.job_id] = one

    def drop(self, one: Waiting) -> None:
        """Forget a job that does not wait any more."""
        self._waiting.pop(one.job_id, None)
