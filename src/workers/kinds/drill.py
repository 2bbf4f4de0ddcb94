"""The kind `drill`: work that behaves badly on purpose, for rehearsals; offered only where drills are allowed."""

import asyncio
import os
import signal
import time
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from invoicing.jobs.kinds import JobKind, Performance
from invoicing.jobs.model import Failed, JobError, Outcome, RetryPolicy, Succeeded

Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class Drill(BaseModel):
    """What to rehearse, for how long, and what to tell the size estimate about it."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[Seconds, Field(description="How long the work takes.")] = 1.0
    chunks: Annotated[
        int, Field(ge=0, le=100_000, description="Number of checkpoints; 0: all of it in one go, without any.")
    ] = 1
    mode: Annotated[
        Literal["sleep", "spin", "hang", "fail", "die"],
        Field(
            description="`sleep` waits; `spin` burns CPU without yielding; `hang` stops making progress but keeps its "
            "process alive; `fail` fails; `die` kills its own process."
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
        if drill.chunks:
            await job.checkpoint(chunk + 1, drill.chunks, "chunks", {"chunk": chunk + 1})
    return Succeeded({"mode": drill.mode, "chunks": drill.chunks})


async def _work(mode: str, seconds: float) -> None:
    match mode:
        case "sleep" if seconds:
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
    example={"seconds": 5, "chunks": 10, "mode": "sleep"},
)
