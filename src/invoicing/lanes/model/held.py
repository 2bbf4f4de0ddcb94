"""What is down that jobs need from outside: which of them are held back, how many may try it, and where they wait."""

from collections.abc import Mapping
from uuid import UUID

from invoicing.jobs.model.dependencies import first_shut
from invoicing.lanes.model.waiting import Queue

Place = tuple[UUID, UUID, int]
"""A customer, one of its keys, and the place of a lane."""


class Held:
    """Queues are held back by what their jobs need: the cost is by those that need something, and where it changes."""

    def __init__(self) -> None:
        """Hold nothing back."""
        self.to_try: Mapping[str, int] = {}
        """How many jobs may still start that need what is down, by its name."""
        self.needs: set[str] = set()
        """The needs of jobs that are held back; the same set at all times."""
        self._places: dict[str, set[Place]] = {}

    def change(self, to_try: Mapping[str, int]) -> list[Place]:
        """Know what is down; gives where jobs are held back from now on, or are no more."""
        self.to_try = dict(to_try)
        return self._changed()

    def count(self, needs: str) -> list[Place]:
        """Count a job that starts among those that may try; gives where others are held back from now on."""
        if not any(name in self.to_try for name in needs.split()):
            return []
        tried = {name: self.to_try[name] - 1 for name in needs.split() if name in self.to_try}
        return self.change({**self.to_try, **tried})

    def note(self, queue: Queue, *, there: bool) -> None:
        """Remember where something waits that has needs."""
        place = queue.customer_id, queue.key_id, queue.lane.place
        if not there:
            self._places.get(queue.needs, set()).discard(place)
            return
        if queue.needs not in self._places and self._shuts(queue.needs):
            self.needs.add(queue.needs)
        self._places.setdefault(queue.needs, set()).add(place)

    def _changed(self) -> list[Place]:
        changed = {needs for needs in self._places if self._shuts(needs) is not (needs in self.needs)}
        self.needs ^= changed
        return [place for needs in changed for place in self._places[needs]]

    def _shuts(self, needs: str) -> bool:
        shut = {name for name, left in self.to_try.items() if left <= 0}
        return first_shut(needs, shut) is not None
