"""What the dispatcher is told: which queues changed, read from the text of a notification."""

from dataclasses import dataclass, field
from uuid import UUID

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model.lane import Lane
from invoicing.lanes.model.waiting import Queue

ROOM = "-"
ADDED = "+"


@dataclass
class Notices:
    """What was told since it was last looked at."""

    everywhere: bool = True
    """Look at every queue: nothing is known yet, or what changed is too much to name."""
    changed: set[Queue] = field(default_factory=set)
    added: set[Queue] = field(default_factory=set)
    """In these, jobs were only added behind those that waited."""
    room: bool = False
    """Nothing new waits, but there may be room for what did."""

    def hear(self, text: str) -> None:
        """Add what one notification says; one that cannot be read means: look everywhere."""
        try:
            self._hear(text)
        except ValueError:
            self.everywhere = True

    def _hear(self, text: str) -> None:
        if not text:
            self.everywhere = True
        elif text == ROOM:
            self.room = True
        else:
            for name in text.split(","):
                (self.added if name.startswith(ADDED) else self.changed).add(_queue(name.removeprefix(ADDED)))


def _queue(name: str) -> Queue:
    customer, key, priority, size, needs = name.split(":") if name.count(":") > 3 else (*name.split(":"), "")
    return Queue(UUID(customer), UUID(key), Lane(Priority(priority), Size(size)), needs)
