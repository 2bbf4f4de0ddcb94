"""Who is next among those that share: of the least served the one that is due first, at a logarithmic cost."""

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace
from uuid import UUID

Due = tuple[float, UUID]
"""When a job counts as due, and the job: the older one first among those due together."""

_FEW = 64
"""Below this many entries nobody tidies up a heap."""


@dataclass(eq=False, slots=True)
class Account:
    """What somebody was given (seconds of slot, divided by the weight)."""

    number: int
    served: float


@dataclass(eq=False, slots=True)
class Seat:
    """An account's place in a ring."""

    account: Account
    due: Due
    ready: bool = False
    """Whether it counts among the least served."""
    stamp: int = 0
    """Entries of the heaps with another stamp are out of date; no two seats of a ring ever have the same."""
    left: bool = False


_Entry = tuple[float, int, int, Seat]


@dataclass(eq=False, slots=True)
class Ring:
    """Accounts that wait.

    Three heaps whose entries may be out of date. Service grows without a word to the ring: an entry that comes to the
    top is compared with the account and put where it belongs. Where service falls, the ring is told. A ring of one
    needs no heap.
    """

    slack: float
    """Accounts that differ by less count as equally served."""
    seats: dict[int, Seat] = field(default_factory=dict)
    looked: int = 0
    """Entries looked at so far: the cost of its decisions."""
    _stamps: int = 0
    _by_service: list[_Entry] = field(default_factory=list)
    _behind: list[_Entry] = field(default_factory=list)
    _ready: list[tuple[Due, int, int, Seat]] = field(default_factory=list)

    def seat(self, account: Account, due: Due) -> None:
        """Let an account wait, or say that another of its jobs is due first."""
        seat = self.seats.get(account.number)
        if seat is None:
            seat = self.seats[account.number] = Seat(account, due)
            if len(self.seats) == 2:
                self._rebuild()
            else:
                self._renew(seat)
        elif seat.due != due:
            seat.due = due
            if seat.ready:
                self._renew(seat)

    def leave(self, account: Account) -> None:
        """Nothing of an account waits here any more."""
        seat = self.seats.pop(account.number, None)
        if seat is not None:
            seat.left = True
            if len(self.seats) == 1:
                self._forget()
            else:
                self._tidy()

    def lowered(self, account: Account) -> None:
        """Say that an account has less service than before: entries with the old figure would come up too late."""
        seat = self.seats.get(account.number)
        if seat is not None:
            self._renew(seat)

    def least(self) -> float | None:
        """Give the service of the least served; None: nobody waits."""
        if len(self.seats) == 1:
            self.looked += 1
            return next(iter(self.seats.values())).account.served
        heap = self._by_service
        while heap:
            self.looked += 1
            served, number, stamp, seat = heap[0]
            if seat.left or stamp != seat.stamp:
                heappop(heap)
            elif seat.account.served > served:
                heapreplace(heap, (seat.account.served, number, stamp, seat))
            else:
                return served
        return None

    def first(self) -> Seat | None:
        """Give the one that is due first among those within the slack of the least served."""
        least = self.least()
        if least is None:
            return None
        if len(self.seats) == 1:
            return next(iter(self.seats.values()))
        limit = least + self.slack
        self._catch_up(limit)
        heap = self._ready
        while True:  # the least served itself is ready, and within the limit
            self.looked += 1
            _, _, stamp, seat = heap[0]
            if seat.left or stamp != seat.stamp:
                heappop(heap)
            elif seat.account.served > limit:
                heappop(heap)
                seat.ready = False
                heappush(self._behind, (seat.account.served, seat.account.number, seat.stamp, seat))
            else:
                return seat

    def _catch_up(self, limit: float) -> None:
        """Count those among the least served that the least served have caught up with."""
        heap = self._behind
        while heap and heap[0][0] <= limit:
            self.looked += 1
            _, number, stamp, seat = heap[0]
            if seat.left or stamp != seat.stamp:
                heappop(heap)
            elif seat.account.served > limit:
                heapreplace(heap, (seat.account.served, number, stamp, seat))
            else:
                heappop(heap)
                seat.ready = True
                heappush(self._ready, (seat.due, number, stamp, seat))

    def _renew(self, seat: Seat) -> None:
        if len(self.seats) == 1:
            return
        self._stamps += 1
        seat.stamp = self._stamps
        entry = (seat.account.served, seat.account.number, seat.stamp, seat)
        heappush(self._by_service, entry)
        if seat.ready:
            heappush(self._ready, (seat.due, seat.account.number, seat.stamp, seat))
        else:
            heappush(self._behind, entry)
        self._tidy()

    def _tidy(self) -> None:
        """Drop what is out of date once it is most of a heap: each entry pays for its own removal."""
        most = _FEW + 4 * len(self.seats)
        for heap in (self._by_service, self._behind, self._ready):
            if len(heap) > most:
                self._rebuild()
                return

    def _forget(self) -> None:
        """Keep no heaps for one alone, who is counted anew among the least served when another comes."""
        next(iter(self.seats.values())).ready = False
        self._by_service, self._behind, self._ready = [], [], []

    def _rebuild(self) -> None:
        seats = self.seats.values()
        self._by_service = [(one.account.served, one.account.number, one.stamp, one) for one in seats]
        self._behind = [entry for entry in self._by_service if not entry[3].ready]
        self._ready = [(one.due, one.account.number, one.stamp, one) for one in seats if one.ready]
        heapify(self._by_service)
        heapify(self._behind)
        heapify(self._ready)
