"""`GET /metrics`: lanes and outbox as Prometheus reads them; the same few series however many customers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fastapi import Request, Response
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from invoicing.app.traffic import Traffic, families_of_traffic
from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Role
from invoicing.jobs import service as ledger
from invoicing.jobs.service import Holdups
from invoicing.kit.exposing import bears
from invoicing.kit.http.contract import Given, Router
from invoicing.kit.signal_box import SignalBox
from invoicing.lanes.model.signals import Signal, Signals
from invoicing.outbox import signals as outbox
from invoicing.outbox.model import Signal as ChannelSignal

TEXT = "text/plain"
OPEN_METRICS = "application/openmetrics-text"

_PREFIX = "invoicing_"

_OF_A_LANE = {
    "lane_waiting_jobs": "Jobs that wait in the lane, on the runway or not.",
    "lane_waiting_work_seconds": "Predicted work of the jobs that wait in the lane.",
    "lane_running_jobs": "Jobs of the lane that run.",
    "lane_slots": "Slots of live workers that may serve the lane.",
    "lane_drain_seconds": "Until those slots have done what waits in the lane and before it; +Inf: nothing serves it.",
    "lane_paused": "1 while the lane is held.",
}

_OF_ALL = {
    "workers": "Worker processes that are alive and take jobs.",
    "workers_stopping": "Worker processes that are alive, but draining.",
    "slots": "Slots of the workers that take jobs.",
    "slots_wanted": "Slots that would let what runs go on and have what waits done when it is due.",
}

_OF_A_CHANNEL = {
    "outbox_waiting_messages": f"Messages that wait to be delivered, counted up to {outbox.MOST_COUNTED}.",
    "outbox_dead_messages": f"Dead letters that are kept, counted up to {outbox.MOST_COUNTED}.",
    "outbox_overdue_seconds": "How long the oldest message is overdue that could be sent; 0: the relays keep up.",
    "outbox_held_endpoints": "Endpoints that failed several times and are left alone for a while.",
}


_HELD_JOBS = f"Jobs that a review, a quota or a pause holds; reviews and pauses counted up to {ledger.MOST_HOLDUPS}."

_REVIEWS_OVERDUE = "Reviews that should have been decided by now, counted up to the same."

_DEPENDENCY_DOWN = "1 while something outside that jobs need is taken to be down; 0: it failed once, and is back."


@dataclass(frozen=True)
class Meter:
    """Lets in who may know, and writes the signals down."""

    gate: Gate
    box: SignalBox[Signals]
    post: SignalBox[Sequence[ChannelSignal]]
    holdups: SignalBox[Holdups]
    traffic: Traffic
    submits: Mapping[str, int]
    """What became of requests for jobs."""
    token: str | None
    """Lets a monitoring system in that holds no key of the service."""

    async def metrics(self, request: Request) -> Response:
        """Answer `GET /metrics`."""
        given = request.headers.get("authorization", "")
        if self.token is None or not bears(given, self.token):
            await self.gate.staff(request, Role.OPS, media_types=(TEXT, OPEN_METRICS))
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        read = await self.box.signals(), await self.post.signals(), await self.holdups.signals()
        registry.register(_Collected(*read))
        registry.register(_Answered(self.traffic, self.submits))
        write, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(write(registry), media_type=media_type)


class _Collected(Collector):
    """Signals as families of gauges."""

    def __init__(self, signals: Signals, post: Sequence[ChannelSignal], holdups: Holdups) -> None:
        self._signals, self._post, self._holdups = signals, post, holdups

    def collect(self) -> Iterable[Metric]:
        """Give every family."""
        yield from families(self._signals)
        yield from families_of_channels(self._post)
        yield from families_of_holdups(self._holdups)


class _Answered(Collector):
    """What this process answered, as families of its own."""

    def __init__(self, traffic: Traffic, submits: Mapping[str, int]) -> None:
        self._traffic, self._submits = traffic, submits

    def collect(self) -> Iterable[Metric]:
        """Give every family."""
        return families_of_traffic(self._traffic, self._submits)


def families(signals: Signals) -> Iterator[Metric]:
    """Write signals as gauges: one series for each lane or none, so their number is known beforehand."""
    for name, meaning in _OF_A_LANE.items():
        family = GaugeMetricFamily(_PREFIX + name, meaning, labels=("priority", "size"))
        for signal in signals.lanes:
            family.add_metric((signal.lane.priority, signal.lane.size), _of_a_lane(signal)[name])
        yield family
    for name, meaning in _OF_ALL.items():
        yield GaugeMetricFamily(_PREFIX + name, meaning, value=_of_all(signals)[name])


def families_of_channels(signals: Sequence[ChannelSignal]) -> Iterator[Metric]:
    """Write the signals of the outbox as gauges: one series for each channel."""
    for name, meaning in _OF_A_CHANNEL.items():
        family = GaugeMetricFamily(_PREFIX + name, meaning, labels=("channel",))
        for signal in signals:
            family.add_metric((signal.channel,), _of_a_channel(signal)[name])
        yield family


def families_of_holdups(holdups: Holdups) -> Iterator[Metric]:
    """Write what is held before it may run, and what is down: one series for each reason and each dependency."""
    held = GaugeMetricFamily(_PREFIX + "held_jobs", _HELD_JOBS, labels=("cause",))
    held.add_metric(("in_review",), holdups.in_review)
    held.add_metric(("awaiting_quota",), holdups.awaiting_quota)
    held.add_metric(("paused",), holdups.paused)
    yield held
    yield GaugeMetricFamily(_PREFIX + "reviews_overdue", _REVIEWS_OVERDUE, value=holdups.overdue)
    down = GaugeMetricFamily(_PREFIX + "dependency_down", _DEPENDENCY_DOWN, labels=("dependency",))
    for name, is_down in holdups.down.items():
        down.add_metric((name,), is_down)
    yield down


def _of_a_channel(signal: ChannelSignal) -> dict[str, float]:
    return {
        "outbox_waiting_messages": signal.waiting,
        "outbox_dead_messages": signal.dead,
        "outbox_overdue_seconds": signal.overdue_s,
        "outbox_held_endpoints": signal.held,
    }


def _of_a_lane(signal: Signal) -> dict[str, float]:
    return {
        "lane_waiting_jobs": signal.waiting,
        "lane_waiting_work_seconds": signal.work_s,
        "lane_running_jobs": signal.running,
        "lane_slots": signal.slots,
        "lane_drain_seconds": signal.drain_s,
        "lane_paused": signal.paused,
    }


def _of_all(signals: Signals) -> dict[str, float]:
    return {
        "workers": signals.workers,
        "workers_stopping": signals.stopping,
        "slots": signals.slots,
        "slots_wanted": signals.wanted,
    }


def add_metrics(router: Router, meter: Meter) -> None:
    """Add the route."""
    text = {"type": "string", "description": "Prometheus text or OpenMetrics, as the Accept header asks."}
    router.operation(
        "GET",
        "/metrics",
        meter.metrics,
        name="getMetrics",
        summary="Read what waits and what serves it, for monitoring and scaling (ops)",
        text="Open to INVOICING_METRICS_TOKEN, too, where it is set. One series for each lane or channel, none for a "
        "customer; and what this one process answered, by route. Read from tallies, at most once a second.",
        tag="health",
        answers={200: Given("The signals.", {TEXT: text, OPEN_METRICS: text})},
    )
