"""A load of HTTP requests from a process of its own: n connections, each sends its next request when it is answered.

`python -m benchmarks.load URL SECONDS CONNECTIONS KEY BODY_FILE` prints one JSON object. Written on asyncio protocols,
so that it takes as little of the cores as may be from what is measured; every server is loaded by the same one.
"""

import asyncio
import json
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop


@dataclass
class Tally:
    """What came back."""

    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)


class Client(asyncio.Protocol):
    """One connection that is never idle."""

    def __init__(self, head: bytes, body: bytes, tally: Tally, until: float) -> None:
        """Send `head`, with a new Idempotency-Key each time, and `body`."""
        self._head, self._body, self._tally, self._until = head, body, tally, until
        self._buffer = b""
        self._sent = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take an answer, send the next request."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        start = head.find(b"content-length:")
        length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        now = time.perf_counter()
        status = int(head[9:12])
        self._tally.statuses[status] = self._tally.statuses.get(status, 0) + 1
        self._tally.latencies.append(now - self._sent)
        self._buffer = self._buffer[end + 4 + length :]
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end."""
        if not self.done.done():
            self.done.set_result(exc)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._head % uuid.uuid4().hex.encode() + self._body)


async def load(url: str, seconds: float, connections: int, key: str, body: bytes) -> Tally:
    """Send requests for so many seconds."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\nIdempotency-Key: %s\r\n\r\n"
    ).encode()
    tally = Tally()
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Client(head, body, tally, until), parts.hostname or "127.0.0.1", parts.port or 80
        )
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    return tally


def main() -> None:
    """Load and print what came back."""
    url, seconds, connections, key, body = sys.argv[1:]
    tally = uvloop.run(load(url, float(seconds), int(connections), key, Path(body).read_bytes()))
    ordered = sorted(tally.latencies)
    result = {
        "per_second": len(ordered) / float(seconds),
        "p50_ms": 1000 * ordered[len(ordered) // 2],
        "p99_ms": 1000 * ordered[int(len(ordered) * 0.99)],
        "statuses": tally.statuses,
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
