"""A kind that begins to be used, in slots that are never free: whether newcomers take as long as is expected of them.

Of all that has begun, what has ended is quicker than the rest, the more so the more slots there are; simulated.
"""

from collections.abc import Sequence
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple
from uuid import UUID

from benchmarks.healthy import LAWS, Law, Taken, beside, job
from benchmarks.report import Table

from invoicing.diagnosis.model.censored import Running
from invoicing.diagnosis.model.durations import Group, History, learn, with_running

SLOTS = (16, 64)
ENDED = (20, 60, 150)
TIMES = 40
_ASKED = 20
_NOBODY = UUID(int=2**64)
_MIDDLE, _NINE_OF_TEN = 0.5, 0.9


class Begun(NamedTuple):
    """A job, and when it began (seconds)."""

    at_s: float
    taken: Taken

    @property
    def end_s(self) -> float:
        """When it ends."""
        return self.at_s + self.taken.took_s


class Shares(NamedTuple):
    """Of newcomers, how many take longer than the middle, and than nine of ten should."""

    middle: float
    nine_of_ten: float

    def __str__(self) -> str:
        """Write it as text."""
        return f"{self.middle:.0%}, {self.nine_of_ten:.0%}"


def run() -> Table:
    """Draw, and count."""
    columns = (f"{ended} ended: {what}" for ended in ENDED for what in ("by these", "with running"))
    table = Table("A new kind, slots full: longer than the middle, than p90", ("slots", "durations", *columns))
    off = []
    for slots in SLOTS:
        for name, law in LAWS.items():
            found = [shares for ended in ENDED for shares in longer(law, slots, ended)]
            table.add(str(slots), name, *map(str, found))
            off += [100 * abs(shares.middle - _MIDDLE) for shares in found[1::2]]
    table.bar("points of 100 that the middle is off, with running jobs, the worst", max(off), at_most=15)
    return table


def longer(law: Law, slots: int, ended: int) -> tuple[Shares, Shares]:
    """Ask how long newcomers take when so many have ended: by these, and with running ones."""
    by_ended, both = [0, 0], [0, 0]
    for number in range(TIMES):
        chance = Random(f"{slots} {ended} {number}")
        history = _learned(_begun(law, slots, ended, chance), ended, beside(law, chance))
        for one in (job(law, chance) for _ in range(_ASKED)):
            plain = history.predict("this", one.predicted_s)
            expected = history.expect("this", one.predicted_s, _NOBODY)
            for counted, prediction in ((by_ended, plain), (both, expected)):
                for place, share in enumerate((_MIDDLE, _NINE_OF_TEN)):
                    counted[place] += prediction is not None and one.took_s > prediction.quantile(share)
    asked = TIMES * _ASKED
    return Shares(*(count / asked for count in by_ended)), Shares(*(count / asked for count in both))


def _begun(law: Law, slots: int, ended: int, chance: Random) -> list[Begun]:
    """Have one job after another begin where a slot is free, until so many have surely ended; as they end."""
    free, begun = [0.0] * slots, list[Begun]()
    for _ in range(ended + slots):
        one = Begun(heappop(free), job(law, chance))
        begun.append(one)
        heappush(free, one.end_s)
    return sorted(begun, key=lambda one: one.end_s)


def _learned(begun: Sequence[Begun], ended: int, others: Sequence[Group]) -> History:
    """Learn as the service would when so many have ended."""
    over = [one.taken for one in begun[:ended]]
    now_s = begun[ended - 1].end_s
    running = [
        Running(UUID(int=place), "this", one.taken.predicted_s, now_s - one.at_s)
        for place, one in enumerate(begun[ended:])
        if one.at_s < now_s
    ]
    this = Group("this", 0, tuple(one.predicted_s for one in over), tuple(one.took_s for one in over))
    return with_running(learn([this, *others], None), running)
