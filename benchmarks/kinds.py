"""Kinds of jobs that exist for measuring only; the processes under measurement find them by entry point."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from benchmarks.burning import Burner
from pydantic import BaseModel, ConfigDict, Field

from invoicing.jobs.kinds import GivesWay, JobKind, Performance
from invoicing.jobs.model import Outcome, Succeeded

CPU = "cpu"
"""Folder, in the one in which the processes run, where jobs leave how much CPU they had."""

_CHECKPOINT_EVERY_S = 0.2


class Nothing(BaseModel):
    """Nothing to know."""

    model_config = ConfigDict(extra="forbid")


class Brief(BaseModel):
    """Work that waits a moment."""

    seconds: Annotated[float, Field(ge=0)] = 0.0


class Burn(BaseModel):
    """Work that burns CPU, and tells the estimate what it likes."""

    seconds: Annotated[float, Field(ge=0)]
    claimed_seconds: float | None = None
    hang: bool = False


async def noop(_job: Performance, _payload: Nothing) -> Outcome:
    """Do nothing."""
    return Succeeded({})


async def brief(_job: Performance, payload: Brief) -> Outcome:
    """Tell when the work really began: in the child, at its first line."""
    began = time.time()
    await asyncio.sleep(payload.seconds)
    return Succeeded({"began": began})


async def with_checkpoints(job: Performance, payload: Burn) -> Outcome:
    """Burn CPU, with a checkpoint every now and then."""
    burner = Burner(Path(CPU), str(job.job_id))
    while burner.had_s < payload.seconds:
        burner.burn(_CHECKPOINT_EVERY_S)
        await job.checkpoint(burner.had_s, max(burner.had_s, payload.seconds), "CPU seconds")
    return Succeeded({})


async def without_checkpoints(job: Performance, payload: Burn) -> Outcome:
    """Burn CPU in one go, or hang."""
    if payload.hang:
        await asyncio.sleep(3_600)
    Burner(Path(CPU), str(job.job_id)).burn(payload.seconds)
    return Succeeded({})


def _estimate(payload: Burn, _streamed: int) -> float:
    return payload.seconds if payload.claimed_seconds is None else payload.claimed_seconds


def offered() -> Iterable[JobKind]:
    """Give the kinds: this is their entry point."""
    yield JobKind("bench.noop", "Does nothing", Nothing, lambda _payload, _streamed: 0.001, noop)
    yield JobKind("bench.brief", "Waits", Brief, lambda payload, _streamed: max(0.001, payload.seconds), brief)
    yield JobKind("bench.yielding", "Burns CPU", Burn, _estimate, with_checkpoints)
    stubborn = JobKind("bench.stubborn", "Burns CPU, has no checkpoints", Burn, _estimate, without_checkpoints)
    yield stubborn
    yield replace(stubborn, name="bench.freezing", gives_way=frozenset({GivesWay.FREEZE}))


def offer_in(folder: Path) -> None:
    """Make a folder in which processes find these kinds, as if a package that offers them were installed there."""
    (folder / CPU).mkdir(parents=True)
    (folder / "benchmarks").symlink_to(Path(__file__).parent)
    package = folder / "kinds_of_measurements-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: kinds-of-measurements\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[invoicing.job_kinds]\nmeasurements = benchmarks.kinds:offered\n")
