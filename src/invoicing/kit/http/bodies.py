"""Request bodies: read to a limit and within a time; large ones go to a file while they are hashed."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request
from starlette.requests import ClientDisconnect

from invoicing.kit.problems import Problem

SPOOLED_FROM = 256 * 1024
"""Bytes from which a body is written to a file instead of being held."""

_PATIENCE_S = 30.0
_SLOWEST_BYTES_PER_S = 50_000
"""A client must send this much on average, after half a minute of grace, or it holds a connection for nothing."""


@dataclass(frozen=True)
class Body:
    """A request's body: its bytes where it is small, else the file that holds them."""

    sha256: bytes
    size: int
    whole: bytes
    file: Path | None = None

    @contextmanager
    def filed(self) -> Iterator[Path]:
        """Give the body as a file, in a folder of its own that lasts at least as long as the block."""
        if self.file is not None:
            yield self.file
            return
        with tempfile.TemporaryDirectory(prefix="invoicing-body-") as folder:
            path = Path(folder) / "body"
            path.write_bytes(self.whole)
            yield path


def json_expected(request: Request) -> None:
    """Refuse a body that is declared to be something else than JSON."""
    expect(request, "application/json")


def expect(request: Request, *media_types: str) -> None:
    """Refuse a body that is declared to be of another media type; an undeclared one is taken at our word."""
    declared = request.headers.get("content-type", media_types[0])
    name = declared.partition(";")[0].strip().lower()
    encoded = request.headers.get("content-encoding", "identity").lower()
    if name not in media_types or encoded != "identity":
        raise Problem(
            "unsupported_media_type",
            f"The body must be {media_types[0]}, without a content encoding.",
            field="/headers/Content-Type",
            remedy=f"Send the header Content-Type: {media_types[0]}.",
        )


@asynccontextmanager
async def received(request: Request, most: int) -> AsyncIterator[Body]:
    """Read a body of at most `most` bytes; its file, if it has one, is removed at the end of the block."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise too_large(most)
    chunks: list[bytes] = []
    held = 0
    stream = timely(request)
    async for chunk in stream:
        chunks.append(chunk)
        held += len(chunk)
        if held > min(SPOOLED_FROM, most):
            break
    else:
        whole = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        yield Body(hashlib.sha256(whole).digest(), held, whole)
        return
    with tempfile.TemporaryDirectory(prefix="invoicing-body-") as folder:
        yield await _spool(Path(folder) / "body", chunks, stream, most)


async def _spool(path: Path, chunks: list[bytes], stream: AsyncIterator[bytes], most: int) -> Body:
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in chunks:
            digest.update(chunk)
            size += file.write(chunk)
        chunks.clear()
        async for chunk in stream:
            if size + len(chunk) > most:
                raise too_large(most)
            digest.update(chunk)
            size += file.write(chunk)
    if size > most:
        raise too_large(most)
    return Body(digest.digest(), size, b"", path)


async def timely(request: Request) -> AsyncIterator[bytes]:
    """Read a body chunk by chunk, as long as it comes fast enough."""
    loop = asyncio.get_running_loop()
    began, size, more = loop.time(), 0, True
    while more:
        try:
            async with asyncio.timeout_at(began + _PATIENCE_S + size / _SLOWEST_BYTES_PER_S):
                message = await request.receive()
        except TimeoutError as error:
            raise Problem(
                "request_timeout",
                "The body came too slowly.",
                remedy="Send it again over a faster connection; nothing was accepted.",
                headers={"Connection": "close"},
            ) from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if chunk:
            yield chunk


def too_large(most: int) -> Problem:
    """Refuse a body over the limit.

    The connection stays open: closing it while the client still sends would reset it, and the client would not see why.
    """
    return Problem(
        "too_large",
        f"The body is larger than {most} bytes.",
        remedy="Split the request, or send it as several.",
    )
