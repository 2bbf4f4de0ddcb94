"""How long the dispatcher lets be what is under way before it reads it again: fewer rounds, and no idle slots."""

from dataclasses import dataclass

_A_LOT, _SHARE_OF_READING = 200, 0.2
"""Once so many jobs run or lie ready, reading them takes at most this share of the time ..."""
_LONGEST_S = 0.5
"""... and is put off by no more than this: a machine that was busy for a moment says nothing of the next."""
_READY_PER_SLOT = 4
"""Tickets beyond the free slots, per slot, from which on the dispatcher takes its time to add more."""
_USED_UP, _IDLE = 0.25, 0.05
"""Meanwhile at most this part of what lies ready is used up, and this part of the slots falls idle."""
_SPAN_S = 0.05
"""Ends are written many at a time: over less than this they say nothing of how many there are."""


@dataclass
class Ends:
    """How many attempts end in a second, lately."""

    per_s: float = 0.0
    _since: float | None = None
    _count: int = 0

    def note(self, count: int, now: float) -> None:
        """Count those that ended since the last look (`now` in seconds)."""
        self._since = now if self._since is None else self._since
        self._count += count
        if now - self._since >= _SPAN_S:
            self.per_s = self._count / (now - self._since)
            self._since, self._count = now, 0


def rest_s(*, took_s: float, under_way: int, ready: int, slots: int, usual_s: float | None, ends_per_s: float) -> float:
    """Say how long to wait (seconds) before reading again, which `took_s`, what is under way.

    `ready` lie on the runway beyond the free slots; a small job takes `usual_s`, None: not known yet.
    """
    wished = took_s / _SHARE_OF_READING if under_way > _A_LOT else 0.0
    if slots and usual_s is not None and ready > _READY_PER_SLOT * slots:
        wished = max(wished, usual_s * ready / slots / _READY_PER_SLOT)
    if ends_per_s > 0:
        wished = min(wished, (_USED_UP * ready + _IDLE * slots) / ends_per_s)
    return min(wished, _LONGEST_S)
