"""What each process tells a monitoring system of itself: what its parts counted, written down at a reading.

The series of one process are its own: `sum` them, where those of the ledger, which any web process tells, take `max`.
None is for a customer, a job or a worker's name, so their number is known beforehand.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from invoicing.jobs.model import News
from invoicing.kit.tallies import Timings, copied
from invoicing.lanes.model import SIZES
from workers.deadman import Deadman
from workers.dispatcher import Dispatcher
from workers.keeper import Keeper
from workers.lane_worker import LaneWorker
from workers.nursery import Nursery
from workers.observer import Observer
from workers.outbox import Relay
from workers.pulse import DONE, FAILED, Pulses
from workers.watchdog import Watchdog

_PREFIX = "invoicing_"

Word = TypeVar("Word", bound=str)
Of = TypeVar("Of", bound=tuple[str, ...])
"""The values of a series' labels."""


@dataclass(frozen=True, eq=False)
class OfADispatcher(Collector):
    """What a dispatcher does, and whether it is the one that leads."""

    dispatcher: Dispatcher

    def collect(self) -> Iterable[Metric]:
        """Write it down."""
        yield _gauge("dispatcher_leads", "1 while this dispatcher leads.", self.dispatcher.leads)
        yield _timings("dispatcher_round_seconds", "Rounds of deciding what starts next.", self.dispatcher.rounds)
        released = copied(self.dispatcher.released)
        yield _counts("dispatcher_released_jobs", "Jobs put on the runways.", ("priority", "size"), released)
        failed = {("lead",): 0, ("put",): 0} | _keyed(self.dispatcher.failed)
        yield _counts("dispatcher_failures", "Failures to lead, or to reach Redis.", ("at",), failed)


@dataclass(frozen=True, eq=False)
class OfAWorker(Collector):
    """What a worker runs, and how its attempts and its children end."""

    worker: LaneWorker
    nursery: Nursery

    def collect(self) -> Iterable[Metric]:
        """Write it down."""
        yield from self._of_attempts()
        yield from self._of_children()
        yield from self._of_its_heartbeat()

    def _of_attempts(self) -> Iterable[Metric]:
        runner = self.worker.runner
        yield _gauge("worker_slots", "Jobs that this worker may run at a time.", self.worker.terms.slots)
        running = dict.fromkeys(SIZES, 0) | runner.running()
        yield _gauges("worker_running", "Slots that are taken.", ("size",), _keyed(running))
        ended = copied(runner.ended_as)
        yield _counts("attempts", "Attempts that ended, and as what.", ("kind", "outcome", "cause"), ended)
        yield _count("attempts_late", "Attempts that ended when others had their jobs.", runner.late)

    def _of_children(self) -> Iterable[Metric]:
        counts = _keyed(self.nursery.counts())
        yield _gauges("worker_children", "Child processes, by what they are doing.", ("state",), counts)
        yield _count("worker_children_started", "Child processes started.", self.nursery.started)
        killed = _keyed(self.nursery.killed)
        yield _counts("worker_children_killed", "Child processes lost in an attempt.", ("cause",), killed)

    def _of_its_heartbeat(self) -> Iterable[Metric]:
        heart = self.worker.heartbeat
        beats = {(DONE,): 0, (FAILED,): 0} | ({} if heart is None else _keyed(heart.beats))
        yield _counts("worker_heartbeats", "Proofs of life written, or not.", ("outcome",), beats)
        renewed = 0 if heart is None else heart.renewed
        yield _count("worker_leases_renewed", "Leases of attempts renewed.", renewed)


@dataclass(frozen=True, eq=False)
class OfAWatchdog(Collector):
    """Whether each loop of a watchdog gets on, and what they found and did."""

    pulses: Pulses
    watchdog: Watchdog
    keeper: Keeper
    observer: Observer
    relays: Sequence[Relay]
    deadman: Deadman | None = None

    def collect(self) -> Iterable[Metric]:
        """Write it down."""
        yield from self._of_loops()
        yield from self._of_jobs()
        told = dict.fromkeys(News, 0) | copied(self.keeper.told)
        yield _counts("promises_told", "Promises told of, and what was told.", ("news",), _keyed(told))
        open_now = {(cause,): count for cause, count in (self.observer.open() or {}).items()}
        yield _gauges("conditions_open", "What holds lanes or customers now.", ("cause",), open_now)
        tried: Counter[tuple[str, str]] = Counter()
        for relay in self.relays:
            tried.update(copied(relay.tried))
        yield _counts("outbox_deliveries", "Tries to deliver a message.", ("channel", "outcome"), tried)
        pings = {} if self.deadman is None else self.deadman.pings
        yield _counts("deadman_pings", "Pings to the outside.", ("outcome",), _keyed(pings))

    def _of_loops(self) -> Iterable[Metric]:
        loops = self.pulses.all()
        rounds = {(one.name, outcome): one.rounds[outcome] for one in loops for outcome in (DONE, FAILED)}
        yield _counts("watchdog_rounds", "Rounds of each loop.", ("loop", "outcome"), rounds)
        ages = {(one.name,): one.age_s for one in loops}
        yield _gauges("watchdog_round_age_seconds", "How long ago each loop got on.", ("loop",), ages)
        late = {(one.name,): one.late for one in loops}
        yield _gauges("watchdog_loop_late", "1 while a loop has missed several rounds.", ("loop",), late)

    def _of_jobs(self) -> Iterable[Metric]:
        rescued = {("queued",): 0, ("quarantined",): 0} | _keyed(self.watchdog.rescued)
        yield _counts("jobs_rescued", "Jobs taken from lost workers.", ("outcome",), rescued)
        yield _count("tickets_healed", "Tickets that Redis had lost, put back.", self.watchdog.healed)


def _keyed(counts: Mapping[Word, int]) -> dict[tuple[str], int]:
    return {(name,): count for name, count in copied(counts).items()}


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, meaning, value=value)


def _gauges(name: str, meaning: str, labels: Sequence[str], values: Mapping[Of, float]) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, meaning, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def _count(name: str, meaning: str, value: int) -> Metric:
    return CounterMetricFamily(_PREFIX + name, meaning, value=value)


def _counts(name: str, meaning: str, labels: Sequence[str], values: Mapping[Of, float]) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, meaning, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def _timings(name: str, meaning: str, timings: Timings) -> Metric:
    return HistogramMetricFamily(_PREFIX + name, meaning, buckets=timings.buckets(), sum_value=timings.total_s)
