"""The kind `drill`: work that behaves badly on purpose, for rehearsals; offered only where drills are allowed."""

import asyncio
import os
import signal
import time
from collections.abc import Collection
from datetime import timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from invoicing.jobs.kinds import JobKind, Performance
from invoicing.jobs.model import Failed, JobError, Outcome, Rejected, RetryPolicy, Succeeded

COUNTERPART = "drill-counterpart"
"""What a drill of the mode `call` needs from outside; where it is, the operator sets (`INVOICING_DRILL_URL`)."""

_ANSWERS_WITHIN_S = 5.0
_TOO_MANY, _FAULTY = 429, 500
"""The status with which it asks to be left alone, and those from which on the fault is its own."""

Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class Drill(BaseModel):
    """What to rehearse, for how long, and what to tell the size estimate about it."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[Seconds, Field(description="How long the work takes.")] = 1.0
    chunks: Annotated[
        int, Field(ge=0, le=100_000, description="Number of checkpoints; 0: all of it in one go, without any.")
    ] = 1
    mode: Annotated[
        Literal["sleep", "spin", "hang", "fail", "die", "call"],
        Field(
            description="`sleep` waits; `spin` burns CPU without yielding; `hang` stops making progress but keeps its "
            "process alive; `fail` fails; `die` kills its own process; `call` waits, then asks the address that the "
            "operator has set."
        ),
    ] = "sleep"
    fail_attempts: Annotated[int, Field(ge=0, le=100, description="Attempts that fail before one succeeds.")] = 0
    claimed_seconds: Annotated[
        Seconds | None, Field(description="What the size estimate is told; a lie, where it differs from seconds.")
    ] = None


def size(drill: Drill, _streamed: int) -> float:
    """Believe what the drill claims, as a real estimate would."""
    return drill.seconds if drill.claimed_seconds is None else drill.claimed_seconds


async def perform(job: Performance, drill: Drill) -> Outcome:
    """Work through the chunks in the drill's manner, going on where an earlier attempt stopped."""
    if job.failures < drill.fail_attempts:
        return _failure(f"This drill fails {drill.fail_attempts} times; this was failure {job.failures + 1}.")
    first = int((job.saved or {}).get("chunk", 0))
    for chunk in range(first, drill.chunks or 1):
        if drill.mode == "fail":
            return _failure("This drill always fails.")
        await _work(drill.mode, drill.seconds / (drill.chunks or 1))
        if drill.mode == "call" and (refused := await _call(job.settings.get("drill_url"))):
            return refused
        if drill.chunks:
            await job.checkpoint(chunk + 1, drill.chunks, "chunks", {"chunk": chunk + 1})
    return Succeeded({"mode": drill.mode, "chunks": drill.chunks})


async def _work(mode: str, seconds: float) -> None:
    match mode:
        case "sleep" | "call" if seconds:
            await asyncio.sleep(seconds)
        case "spin":
            spin(seconds)
        case "hang":
            hang()
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)


def spin(seconds: float) -> None:
    """Burn CPU in pure Python."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def hang() -> None:
    """Wait for something that never comes; only a kill ends it."""
    while True:
        time.sleep(3600)


def needs(drill: Drill) -> Collection[str]:
    """Need the counterpart for a call alone."""
    return [COUNTERPART] if drill.mode == "call" else []


async def _call(url: str | None) -> Outcome | None:
    """Ask the counterpart; None: it answered well."""
    if url is None:
        return Rejected(JobError("nobody_to_call", "No address is set that a drill could ask."))
    try:
        status, retry_after = await asyncio.to_thread(ask, url)
    except (OSError, HTTPException):
        return _down("The drill's counterpart does not answer.")
    if status == _TOO_MANY or status >= _FAULTY:
        return _down(f"The drill's counterpart answered {status}.", retry_after)
    return None


def ask(url: str) -> tuple[int, timedelta | None]:
    """Ask an address; gives the status and for how long it wants to be left alone."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    connection = (HTTPSConnection if secure else HTTPConnection)(
        parts.hostname or "", parts.port, timeout=_ANSWERS_WITHIN_S
    )
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        seconds = answer.headers.get("Retry-After", "")
    finally:
        connection.close()
    return answer.status, timedelta(seconds=int(seconds)) if seconds.isdecimal() and len(seconds) < 7 else None


def _down(message: str, retry_after: timedelta | None = None) -> Failed:
    return Failed(JobError("counterpart_down", message), retry_after, COUNTERPART)


def _failure(message: str) -> Failed:
    return Failed(JobError("drill_failed", message, remedy="Nothing is wrong: the drill was asked to fail."))


KIND = JobKind(
    name="drill",
    title="Rehearsal: work that sleeps, burns CPU, hangs, fails or dies on purpose",
    payload=Drill,
    size=size,
    perform=perform,
    timeout=timedelta(hours=25),
    retry=RetryPolicy(first_delay=timedelta(seconds=1)),
    dependencies={COUNTERPART: "the drill's counterpart"},
    needs=needs,
    example={"seconds": 5, "chunks": 10, "mode": "sleep"},
)
