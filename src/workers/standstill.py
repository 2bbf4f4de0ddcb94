"""How long a child did not get on with its order, for reasons that are not its work's."""

from dataclasses import dataclass, field
from enum import StrEnum


class Why(StrEnum):
    """What keeps it from working."""

    FROZEN = "frozen"
    WARMING = "warming"


@dataclass
class Standstill:
    """Adds up the time in which at least one reason held; all times by one clock (seconds)."""

    before: float = 0.0
    since: dict[Why, float] = field(default_factory=dict)

    def begin(self, why: Why, now: float) -> None:
        """Note that a reason holds from now on."""
        self.since.setdefault(why, now)

    def end(self, why: Why, now: float) -> None:
        """Note that a reason holds no more; where another one still does, that one counts from here."""
        if why in self.since:
            self.before = self.total(now)
            del self.since[why]
            self.since = {other: max(since, now) for other, since in self.since.items()}

    def total(self, now: float) -> float:
        """How long it stood still until now."""
        return self.before + (now - min(self.since.values()) if self.since else 0.0)

    def lasts(self, why: Why, now: float) -> float:
        """How long a reason has held by now; 0 where it does not."""
        return now - self.since.get(why, now)
