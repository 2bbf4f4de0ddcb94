"""What starts next: smaller work of the least served customers, within the room that quotas leave.

Each decision looks at the head of every lane in which a job would find room. A class or a priority that got less than
its guaranteed share comes first. Otherwise a lane is passed over while its least served customer had more than that
of another lane (smaller work is granted a lead over larger), and of what remains the lane that is due soonest after
acceptance goes first, however long larger or less urgent work has waited: that ages within its guaranteed share. Inside
a lane the earliest due starts. Before all that stand the few jobs that our staff expedited.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf
from uuid import UUID

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model.accounts import Customer, Key, due_of
from invoicing.lanes.model.expedited import Expedited
from invoicing.lanes.model.held import Held, Place
from invoicing.lanes.model.lane import LANES, SIZES, Lane
from invoicing.lanes.model.policy import Policy
from invoicing.lanes.model.quota import Left
from invoicing.lanes.model.ring import Due, Ring
from invoicing.lanes.model.running import Running
from invoicing.lanes.model.shares import Shares
from invoicing.lanes.model.taken import Taken
from invoicing.lanes.model.waiting import Queue, Waiting

_NEVER: Due = (inf, UUID(int=0))
_LANES_OF_SIZE = len(Priority)
"""`LANES` has the lanes of the smaller class first."""


class Scheduler:
    """The first jobs of every queue, and what each customer was given; decides, and does nothing else."""

    def __init__(self, policy: Policy) -> None:
        """Start with nothing waiting and nobody served."""
        self.policy = policy
        self._customers: dict[UUID, Customer] = {}
        self._rings = [Ring(policy.slack_s) for _ in LANES]
        """By the place of the lane, as everywhere inside."""
        self._shares = Shares(policy)
        self._delays = [policy.delays_s[lane.priority][lane.size] for lane in LANES]
        self._virtual = 0.0
        self._era = 0
        self._numbers = 0
        self._open: list[int] = []
        self._full: set[UUID] = set()
        self._held = Held()
        self._expedited = Expedited()

    def adopt(self, policy: Policy) -> None:
        """Decide by another policy from now on; what was given stays counted, who is owed a share starts anew."""
        self.policy = policy
        self._shares = Shares(policy)
        self._delays = [policy.delays_s[lane.priority][lane.size] for lane in LANES]
        for lane in self._open:
            self._shares.arrive(lane)
        for ring in self._rings:
            ring.slack = policy.slack_s

    def show(self, queue: Queue, heads: Sequence[Waiting]) -> None:
        """Tell which jobs come first in a queue, in order; none: nothing waits in it."""
        customer = self._customer(queue.customer_id)
        key, lane = customer.key(queue.key_id), queue.lane.place
        if heads:
            if customer.away:
                customer.served = max(customer.served, self._virtual)
            if not key.waits:
                key.served = max(key.served, customer.virtual)
        key.keep(lane, queue.needs, deque(heads))
        if queue.needs:
            self._held.note(queue, there=bool(heads))
        self._expedited.note(queue, heads)
        customer.place(key, lane)
        self._seat(customer, lane)

    def shown(self, queue: Queue) -> int:
        """How many jobs of a queue it still knows; at 0 it must be shown more."""
        return len(self.first_of(queue))

    def first_of(self, queue: Queue) -> Collection[Waiting]:
        """Give the jobs of a queue that it still knows, in order."""
        customer = self._customers.get(queue.customer_id)
        key = customer.keys.get(queue.key_id) if customer else None
        return key.queue(queue.lane.place, queue.needs) if key else ()

    def weigh(self, customer_id: UUID, weight: float) -> None:
        """Set a customer's weight: service counts 1/weight."""
        self._customer(customer_id).weight = weight

    def limit(self, customer_id: UUID, most: int | None) -> None:
        """Set how many jobs of a customer may run; None: what there is room for; 0: paused, which saves nothing up."""
        customer = self._customer(customer_id)
        if customer.paused:
            customer.served = max(customer.served, self._virtual)
        customer.cap = most
        self._seat_all(customer)

    def hold(self, to_try: Mapping[str, int]) -> None:
        """Hold back the jobs that need what is down, but for so many that may try it; what is not named is there."""
        if to_try != self._held.to_try:
            places = self._held.change(to_try)
            for customer_id, key_id, _ in places:
                self._customer(customer_id).resume(key_id, self._virtual)
            self._seat_anew(places)

    def runs(self, customer_id: UUID, count: int) -> None:
        """Tell how many jobs of a customer are released or running; a release counts itself, an end must be told."""
        customer = self._customer(customer_id)
        was = customer.full
        customer.running = count
        if customer.full != was:
            self._seat_all(customer)

    def ended(self, customer_id: UUID) -> None:
        """Tell that one of a customer's jobs no longer runs: it ended, was parked, or was taken back."""
        customer = self._customer(customer_id)
        self.runs(customer_id, max(0, customer.running - 1))

    def charge(self, customer_id: UUID, key_id: UUID, seconds: float, lane: Lane | None = None) -> None:
        """Count service (seconds of slot; negative where too much was charged), for the lane too where it is known."""
        customer = self._customer(customer_id)
        spared_s = min(max(-seconds, 0.0), customer.spared_s)
        customer.spared_s -= spared_s
        self._give(customer, customer.key(key_id), seconds + spared_s)
        if lane is not None:
            self._shares.charge(lane.place, seconds)

    def counters(self) -> Mapping[UUID, float]:
        """Give what each customer was given, to be kept; whoever is not named begins like a new customer."""
        found: dict[UUID, float] = {}
        for customer_id in list(self._customers):
            customer = self._customer(customer_id)
            if not (customer.away and customer.served <= self._virtual):
                found[customer_id] = customer.served
            elif customer.cap is None and customer.weight == 1.0 and not customer.known:
                del self._customers[customer_id]
        return found

    def restore(self, counters: Mapping[UUID, float]) -> None:
        """Go on from counters that were kept."""
        for customer_id, served in counters.items():
            self._customer(customer_id).served = served
        self._virtual = min(counters.values(), default=0.0)

    @property
    def waits(self) -> bool:
        """Whether any job waits that could start if there were room."""
        return bool(self._open)

    def full(self) -> Collection[UUID]:
        """Name the customers whose work waits because as many of their jobs run as may."""
        return [customer_id for customer_id in self._full if self._customers[customer_id].rings]

    def release(self, left: Left, most: Mapping[Lane, int] | None = None) -> list[Waiting]:
        """Take what starts next, in order, while there is room; `most` bounds single lanes (a paused one has 0)."""
        taken = self._take(left, most or {}, None)
        if not self._open:
            self._era += 1
        return [one.waiting for one in taken]

    def blocked(self, count: int, most: Mapping[Lane, int] | None = None) -> list[Waiting]:
        """Tell what would start next if there were room, without taking it."""
        virtual, shares, to_try = self._virtual, self._shares.standing(), self._held.to_try
        taken = self._take(dict.fromkeys(SIZES, count), most or {}, count)
        for one in reversed(taken):
            self._put_back(one)
        self._seat_anew(self._held.change(to_try))
        self._virtual = virtual
        self._shares.restore(shares)
        return [one.waiting for one in taken]

    def entitled(self, waiting: Waiting, running: Running) -> bool:
        """Whether a waiting job would be chosen before a running one if that waited too, by what each was given."""
        if waiting.expedited:
            return True
        if self._shares.owes(waiting.lane.place) and not self._shares.owes(running.lane.place):
            return True
        lead = self.policy.lead_s if SIZES.index(waiting.lane.size) < SIZES.index(running.lane.size) else 0.0
        theirs = self._customer(running.customer_id).served
        return self._customer(waiting.customer_id).served <= theirs + self.policy.slack_s + lead

    def _take(self, left: Mapping[Size, int], most: Mapping[Lane, int], count: int | None) -> list[Taken]:
        room = [left[size] for size in SIZES]
        bounds = {lane.place: bound for lane, bound in most.items()}
        taken: list[Taken] = []
        while self._open and (count is None or len(taken) < count):
            end = _LANES_OF_SIZE * next((place for place, more in enumerate(room) if more <= 0), len(SIZES))
            lanes = [lane for lane in self._open if lane < end and bounds.get(lane, 1) > 0]
            if not lanes:
                break
            one = self._take_one(lanes)
            lane = one.waiting.lane.place
            for place in range(lane // _LANES_OF_SIZE + 1):
                room[place] -= 1
            if lane in bounds:
                bounds[lane] -= 1
            taken.append(one)
        return taken

    def _take_one(self, lanes: list[int]) -> Taken:
        ahead = self._first_expedited(lanes) if self._expedited else None
        owed = [] if ahead else self._shares.owed(lanes)
        if ahead is None:
            lane, customer = self._first(owed or lanes, aged=bool(owed))
            key, waiting = customer.first(lane)
        else:
            lane, customer, waiting = ahead.lane.place, self._customer(ahead.customer_id), ahead
            key = customer.key(waiting.key_id)
            self._expedited.drop(waiting)
        taken = Taken(waiting, customer, key, customer.served, key.served, customer.virtual, customer.spared_s)
        if not (owed or ahead):  # who is served out of turn may be far ahead: newcomers do not begin there
            self._virtual = max(self._virtual, customer.served)
        customer.virtual = max(customer.virtual, key.served)
        key.take(waiting)
        customer.running += 1
        customer.place(key, lane)
        self._give(customer, key, waiting.first_s - (self._spare(customer, waiting) if owed else 0.0))
        self._shares.charge(lane, waiting.first_s)
        self._seat(customer, lane)
        if customer.full:
            self._seat_all(customer)
        if waiting.needs:
            self._seat_anew(self._held.count(waiting.needs))
        return taken

    def _spare(self, customer: Customer, waiting: Waiting) -> float:
        """Work out what of a start out of turn its customer is not charged: all that would put it ahead of the others.

        Its class or priority is owed that. Were it charged in full, a customer's own large work would hold up its own
        small work, however urgent, until every other customer had been given as much.
        """
        ahead_s = customer.served - self._virtual + waiting.first_s / customer.weight
        spared_s = min(waiting.first_s, max(0.0, ahead_s * customer.weight))
        customer.spared_s = min(customer.spared_s + spared_s, customer.running * self.policy.quantum_s)
        return spared_s

    def _first_expedited(self, lanes: list[int]) -> Waiting | None:
        """Give the expedited job that is due first of those that may start in these lanes."""
        found = [one for one in self._expedited if one.lane.place in lanes and self._heads_its_queue(one)]
        return min(found, key=due_of, default=None)

    def _heads_its_queue(self, one: Waiting) -> bool:
        customer = self._customer(one.customer_id)
        queue = customer.key(one.key_id).queue(one.lane.place, one.needs)
        return not customer.full and one.needs not in self._held.needs and queue[0] == one

    def _first(self, lanes: list[int], *, aged: bool) -> tuple[int, Customer]:
        """Choose, of the lanes whose customers' service entitles them to start, the first; of those alike, the due."""
        if len(lanes) > 1:
            lanes = self._entitled(lanes)
        chosen, first, foremost = -1, None, (inf, _NEVER)
        for lane in lanes:
            if self._delays[lane] > foremost[0] and not aged:
                continue
            seat = self._rings[lane].first()
            assert seat is not None
            place = (0.0 if aged else self._delays[lane], seat.due)
            if place < foremost:
                chosen, first, foremost = lane, seat, place
        assert first is not None
        assert isinstance(first.account, Customer)
        return chosen, first.account

    def _entitled(self, lanes: list[int]) -> list[int]:
        """Choose the lanes whose least served customer is not ahead of another lane's, but for what it may be."""
        least = [self._rings[lane].least() or 0.0 for lane in lanes]
        by_size = [inf] * len(SIZES)
        for lane, had in zip(lanes, least, strict=True):
            size = lane // _LANES_OF_SIZE
            by_size[size] = min(by_size[size], had)
        limits, same_or_smaller = [], inf
        for size in range(len(SIZES)):
            same_or_smaller = min(same_or_smaller, by_size[size])
            larger = min(by_size[size + 1 :], default=inf)
            limits.append(min(same_or_smaller, larger + self.policy.lead_s) + self.policy.slack_s)
        return [lane for lane, had in zip(lanes, least, strict=True) if had <= limits[lane // _LANES_OF_SIZE]]

    def _put_back(self, taken: Taken) -> None:
        customer, key, waiting = taken.customer, taken.key, taken.waiting
        lane = waiting.lane.place
        was_full = customer.full
        self._expedited.put(waiting)
        key.put_back(waiting)
        customer.served, key.served, customer.virtual = taken.served, taken.key_served, taken.key_virtual
        customer.spared_s = taken.spared_s
        customer.running -= 1
        customer.place(key, lane)
        self._lowered(customer, key)
        self._seat(customer, lane)
        if was_full:
            self._seat_all(customer)

    def _give(self, customer: Customer, key: Key, seconds: float) -> None:
        customer.give(key, seconds)
        if seconds < 0:
            self._lowered(customer, key)
        for lane in customer.shared():
            self._seat(customer, lane)

    def _lowered(self, customer: Customer, key: Key) -> None:
        for lane, ring in customer.rings.items():
            ring.lowered(key)
            self._rings[lane].lowered(customer)

    def _customer(self, customer_id: UUID) -> Customer:
        """Find a customer's account, even with the others' if nobody has waited meanwhile."""
        customer = self._customers.get(customer_id)
        if customer is None:
            customer = Customer(self._numbers, self._virtual, customer_id, self._era, held=self._held.needs)
            self._customers[customer_id] = customer
            self._numbers += 1
        elif customer.era != self._era:
            customer.served, customer.era = self._virtual, self._era
        return customer

    def _seat_anew(self, places: Iterable[Place]) -> None:
        """Seat everybody anew of whom jobs are held back from now on, or are no more."""
        known = [(self._customer(customer_id), key_id, lane) for customer_id, key_id, lane in places]
        for customer, key_id, lane in known:
            customer.place(customer.key(key_id), lane)
        for customer, _, lane in known:
            self._seat(customer, lane)

    def _seat_all(self, customer: Customer) -> None:
        if customer.full:
            self._full.add(customer.id)
        else:
            self._full.discard(customer.id)
        for lane in range(len(LANES)):
            self._seat(customer, lane)

    def _seat(self, customer: Customer, lane: int) -> None:
        """Let a customer stand in a lane's ring where the first of its jobs puts it."""
        ring = self._rings[lane]
        was = bool(ring.seats)
        if lane in customer.rings and not customer.full:
            ring.seat(customer, due_of(customer.first(lane)[1]))
        else:
            ring.leave(customer)
        if bool(ring.seats) != was:
            self._opened_or_emptied(lane)

    def _opened_or_emptied(self, lane: int) -> None:
        if self._rings[lane].seats:
            self._shares.arrive(lane)
        else:
            self._shares.leave(lane)
        self._open = [one for one, ring in enumerate(self._rings) if ring.seats]
