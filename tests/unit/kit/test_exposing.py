"""What a process tells of itself is for whoever may know, and tells of an event loop that is blocked."""

import asyncio
import socket
from collections.abc import Iterable

import httpx
import pytest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from invoicing.kit import exposing
from invoicing.kit.exposing import LoopLag, exposed
from invoicing.kit.tallies import Timings

TOKEN = "a-token-of-monitoring"
HOST = "127.0.0.1"


class One(Collector):
    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("invoicing_one", "One.", value=1)


def read(port: int | None, path: str = "/metrics", **headers: str) -> httpx.Response:
    return httpx.get(f"http://{HOST}:{port}{path}", headers=headers)


def test_it_tells_what_it_is_given_and_how_the_process_is() -> None:
    with exposed([One()], HOST, 0, None) as port:
        answer = read(port)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert "invoicing_one 1.0" in answer.text.splitlines()
        assert "process_resident_memory_bytes" in answer.text
        assert read(port, "/").status_code == 404


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (f"Bearer {TOKEN}", 200), (f"bearer  {TOKEN}", 200), (f"Bearer {TOKEN}x", 401), (f"Basic {TOKEN}", 401),
        ("", 401), ("Bearer", 401),
    ],
)  # fmt: skip
def test_where_there_is_a_token_nobody_reads_without_it(given: str, status: int) -> None:
    with exposed([One()], HOST, 0, TOKEN) as port:
        answer = read(port, authorization=given)
        assert answer.status_code == status
        assert ("invoicing_one" in answer.text) == (status == 200)


def test_a_port_that_is_taken_keeps_nobody_from_working(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server((HOST, 0)) as other, exposed([One()], HOST, other.getsockname()[1], None) as port:
        assert port is None
    assert [getattr(record, "action", "") for record in caplog.records] == ["metrics.refused"]


def test_clients_that_say_nothing_are_few_and_cannot_stop_it() -> None:
    with exposed([One()], HOST, 0, None) as port:
        assert port is not None
        silent = [socket.create_connection((HOST, port)) for _ in range(exposing._MOST_AT_ONCE - 1)]
        assert read(port).status_code == 200
        for client in silent:
            client.close()


async def test_a_blocked_event_loop_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposing, "_BLOCKED_S", 0.05)
    lag = LoopLag(asyncio.get_running_loop())
    assert value(lag) == 0.05, "this very call blocks the loop"
    monkeypatch.setattr(exposing, "_BLOCKED_S", 60.0)
    assert await asyncio.to_thread(value, lag) < 60


def value(lag: LoopLag) -> float:
    (family,) = lag.collect()
    return float(family.samples[0].value)


def test_timings_are_counted_as_prometheus_adds_them_up() -> None:
    timings = Timings((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        timings.add(seconds)
    assert timings.buckets() == [("0.1", 2.0), ("1.0", 3.0), ("+Inf", 4.0)]
    assert timings.total_s == pytest.approx(7.65)
