"""A customer's receiver on a real port: keeps what it is sent and answers as it is told, over HTTP or TLS."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pydantic_core


@dataclass(frozen=True)
class Got:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return pydantic_core.from_json(self.body)


Answer = bytes | Callable[[Got], bytes | Awaitable[bytes]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def status(code: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {code} Said", "Content-Length: 0", *headers, "", ""]
    return "\r\n".join(lines).encode()


@dataclass
class Receiver:
    """What came to it, in order."""

    port: int = 0
    host: str = "127.0.0.1"
    scheme: str = "http"
    answer: Answer = OK
    got: list[Got] = field(default_factory=list)
    connections: int = 0
    most_at_once: int = 0
    hold: bool = False
    """Keep the connection after the answer, though no more comes."""
    _now: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/hook"

    async def wait_for(self, count: int, within: float = 20) -> list[Got]:
        async with asyncio.timeout(within):
            while len(self.got) < count:
                self._came.clear()
                await self._came.wait()
        return self.got

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self.serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Leave who is still connected."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            got = Got(head[0].split()[1], headers, body)
            self.got.append(got)
            self._came.set()
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            try:
                said = self.answer(got) if callable(self.answer) else self.answer
                writer.write(said if isinstance(said, bytes) else await said)
                await writer.drain()
                if self.hold:
                    await asyncio.sleep(60)
            finally:
                self._now -= 1
        except (OSError, asyncio.IncompleteReadError):
            pass  # whoever asked went away
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()


@asynccontextmanager
async def receiving(
    answer: Answer = OK, tls: ssl.SSLContext | None = None, *, hold: bool = False
) -> AsyncIterator[Receiver]:
    """Receive on a port of this machine while the block runs."""
    receiver = Receiver(answer=answer, hold=hold, scheme="https" if tls else "http")
    server = await asyncio.start_server(receiver.connected, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.close()
