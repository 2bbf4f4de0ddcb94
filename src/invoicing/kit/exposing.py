"""Figures of this process for a monitoring system, served by a thread: a blocked event loop can be looked at, too."""

import asyncio
import logging
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

log = logging.getLogger(__name__)

PATH = "/metrics"

_MOST_AT_ONCE = 8
_PATIENCE_S = 5.0
"""How long a client may take to say what it wants; only so many are waited for."""

_BLOCKED_S = 2.0
"""An event loop that has not answered after so long is blocked, however much longer it takes."""


def bears(header: str, token: str) -> bool:
    """Tell whether the header Authorization holds this token."""
    scheme, _, given = header.partition(" ")
    return scheme.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), token.encode())


class LoopLag(Collector):
    """How long the event loop takes to come to a call: measured at each reading, so nothing runs between two."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at a loop from another thread."""
        self._loop = loop

    def collect(self) -> Iterable[Metric]:
        """Measure once."""
        yield GaugeMetricFamily(
            "invoicing_loop_lag_seconds",
            f"How long the event loop took to answer this reading; {_BLOCKED_S:g}: it is blocked.",
            value=self._measured(),
        )

    def _measured(self) -> float:
        answered, began = threading.Event(), time.monotonic()
        try:
            self._loop.call_soon_threadsafe(answered.set)
        except RuntimeError:  # it is closed: the process is ending
            return 0.0
        answered.wait(_BLOCKED_S)
        return min(time.monotonic() - began, _BLOCKED_S)


class _Places(ThreadingHTTPServer):
    """Serves a few clients at once; whoever comes beyond that is sent away."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, registry: CollectorRegistry, token: str | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.registry = registry
        self.token = token
        self._free = threading.Semaphore(_MOST_AT_ONCE)
        self._ended = False
        super().__init__((host, port), _Reading)

    def serve(self) -> None:
        """Serve until it is ended; nothing runs while nobody asks."""
        while not self._ended:
            self.handle_request()

    def end(self) -> None:
        """Wake the thread that serves, for the last time."""
        self._ended = True
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the library has it
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the library has it
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - as the library has it
        """Say so in the log, as everything else does."""
        log.warning("a reading of the metrics broke off: %s", sys.exception(), extra={"action": "metrics.broken"})


class _Reading(BaseHTTPRequestHandler):
    server: _Places
    timeout = _PATIENCE_S
    server_version, sys_version = "invoicing", ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self._answer(404, "text/plain; charset=utf-8", b"There is /metrics here, and nothing else.\n")
        elif self.server.token is not None and not bears(self.headers.get("Authorization", ""), self.server.token):
            self._answer(401, "text/plain; charset=utf-8", b"Authorization: Bearer TOKEN is needed.\n")
        else:
            write, media_type = choose_encoder(self.headers.get("Accept", ""))
            self._answer(200, media_type, write(self.server.registry))

    def _answer(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - as the library has it
        """Say nothing of each reading."""


@contextmanager
def exposed(collectors: Iterable[Collector], host: str, port: int, token: str | None) -> Iterator[int | None]:
    """Serve `GET /metrics` while the block runs; gives the port (0 takes a free one), None where it is taken.

    That a port is taken is logged and no more: work is not left undone for want of its figures.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for collector in collectors:
        registry.register(collector)
    try:
        server = _Places(host, port, registry, token)
    except OSError as error:
        told = {"action": "metrics.refused", "host": host, "port": port}
        log.error("cannot serve metrics: %s", error, extra=told)  # noqa: TRY400 - one line is enough
        yield None
        return
    with server:
        thread = threading.Thread(target=server.serve, name="metrics", daemon=True)
        thread.start()
        log.info("serving metrics", extra={"action": "metrics.serving", "host": host, "port": server.server_port})
        try:
            yield server.server_port
        finally:
            server.end()
            thread.join(1.0)
