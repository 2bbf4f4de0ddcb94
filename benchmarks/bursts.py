"""Many jobs of a kind that begin at once, so that those that have ended are the quick ones, in simulation.

Whether ranges hold for those that go on, by what has ended alone and with what running jobs tell; and which of them are
called slow, beside what that would be if running jobs counted there, too: in a burst of healthy work, and where all of
it is slow.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean
from uuid import UUID

from benchmarks.healthy import LAWS, Law, Taken, beside, job
from benchmarks.report import Table

from invoicing.diagnosis.model.censored import Running
from invoicing.diagnosis.model.durations import FEWEST, MOST_SIMILAR, Group, History, Prediction, learn, with_running
from invoicing.diagnosis.model.running import SLOW_BEYOND

_MOMENTS = (0.2, 0.4, 0.6)
"""Shares of a burst that have ended when the others are asked about."""
_LOOKS = 12
"""Times that it is asked in a burst whether a job is slow."""
_LOW, _MIDDLE, _HIGH = 0.05, 0.5, 0.95
TIMES = 20


_HEADINGS = (
    "burst",
    "durations",
    "in the 90 % range: by ended",
    "with running",
    "above the likely end: by ended",
    "with running",
    "called slow",
    "if running counted",
)


@dataclass(frozen=True)
class Burst:
    """So many jobs at once of a kind of which some are known, each so many times as long as usual."""

    jobs: int
    known: int = 0
    times: float = 1.0

    @property
    def name(self) -> str:
        """Say what it is."""
        longer = "" if self.times == 1 else f", {self.times:g} x as long"
        return f"{self.jobs} at once, {self.known or 'none'} known{longer}"


BURSTS = (
    Burst(64),
    Burst(16),
    Burst(32, known=20),
    Burst(16, known=30, times=4.0),
    Burst(32, known=60, times=2.0),
    Burst(32, known=60, times=4.0),
)


@dataclass
class Told:
    """What came of ranges that were told while jobs ran."""

    asked: int = 0
    held: int = 0
    above: int = 0
    """Those that ended above the middle."""

    def add(self, prediction: Prediction, worked_s: float, left_s: float) -> None:
        """Count one."""
        low, middle, high = (prediction.remaining(share, worked_s) for share in (_LOW, _MIDDLE, _HIGH))
        self.asked += 1
        self.held += low <= left_s <= high
        self.above += left_s > middle


@dataclass
class Called:
    """Jobs of bursts that were ever called slow while they ran: by what has ended, and if running ones counted."""

    jobs: int = 0
    by_ended: int = 0
    with_running: int = 0


def run() -> Table:
    """Draw, and count."""
    table = Table("Bursts: what running jobs tell", _HEADINGS)
    for burst in BURSTS:
        gained = []
        for name, law in LAWS.items():
            told, called = foreseen(law, burst, TIMES), called_slow(law, burst, TIMES)
            held = [100 * one.held / one.asked for one in told]
            table.add(
                burst.name,
                name,
                *(f"{share:.1f} %" for share in held),
                *(f"{one.above / one.asked:.1%}" for one in told),
                *(f"{count / called.jobs:.2%}" for count in (called.by_ended, called.with_running)),
            )
            gained.append(held[1] - held[0])
        table.bar(f"points of 100 that ranges hold more often, the mean, {burst.name}", fmean(gained), at_least=0)
        table.bar(f"the same, the least, {burst.name}", min(gained), at_least=-2)
    return table


def foreseen(law: Law, burst: Burst, times: int) -> tuple[Told, Told]:
    """Ask three times in each burst how long those that run still take: by what has ended, and with running ones."""
    by_ended, both = Told(), Told()
    for number in range(times):
        known, taken, others = _drawn(law, burst, number)
        ends = sorted(one.took_s for one in taken)
        for share in _MOMENTS:
            now_s = ends[int(len(ends) * share)]
            history = _learned(known, taken, now_s, others)
            for place, one in enumerate(taken):
                if one.took_s > now_s and (plain := history.predict("this", one.predicted_s)):
                    by_ended.add(plain, now_s, one.took_s - now_s)
                    both.add(_expected(history, one, place), now_s, one.took_s - now_s)
    return by_ended, both


def called_slow(law: Law, burst: Burst, times: int) -> Called:
    """Ask again and again in each burst whether a running job is slow."""
    called = Called()
    for number in range(times):
        known, taken, others = _drawn(law, burst, number)
        slow, would_be = set[int](), set[int]()
        for now_s in _looks(one.took_s for one in taken):
            history = _learned(known, taken, now_s, others)
            for place, one in enumerate(taken):
                plain = history.predict("this", one.predicted_s)
                if one.took_s <= now_s or plain is None:
                    continue
                if now_s > plain.quantile(SLOW_BEYOND):
                    slow.add(place)
                if now_s > _expected(history, one, place).quantile(SLOW_BEYOND):
                    would_be.add(place)
        called.jobs += len(taken)
        called.by_ended += len(slow)
        called.with_running += len(would_be)
    return called


def _drawn(law: Law, burst: Burst, number: int) -> tuple[list[Taken], list[Taken], list[Group]]:
    chance = Random(f"{burst.name} {number}")
    others = beside(law, chance)
    known = [job(law, chance) for _ in range(burst.known)]
    drawn = [job(law, chance) for _ in range(burst.jobs)]
    return known, [Taken(one.predicted_s, one.took_s * burst.times) for one in drawn], others


def _looks(ends: Iterable[float]) -> list[float]:
    ordered = sorted(ends)
    at_ends = (ordered[len(ordered) * number // _LOOKS] for number in range(_LOOKS))
    evenly = (ordered[-1] * number / _LOOKS for number in range(1, _LOOKS))
    return sorted({*at_ends, *evenly})


def _learned(known: Sequence[Taken], taken: Sequence[Taken], now_s: float, others: Sequence[Group]) -> History:
    """Learn as the service would at a moment of a burst (seconds since its beginning)."""
    ended = sorted((one for one in taken if one.took_s <= now_s), key=lambda one: one.took_s)
    latest = [*known, *ended][-MOST_SIMILAR:]
    this = Group("this", 0, tuple(one.predicted_s for one in latest), tuple(one.took_s for one in latest))
    running = [
        Running(UUID(int=place), "this", one.predicted_s, now_s)
        for place, one in enumerate(taken)
        if one.took_s > now_s
    ]
    return with_running(learn([this, *others] if len(latest) >= FEWEST else others, None), running)


def _expected(history: History, one: Taken, place: int) -> Prediction:
    found = history.expect("this", one.predicted_s, UUID(int=place))
    assert found is not None
    return found
