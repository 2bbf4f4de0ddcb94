"""Kinds that go wrong in ways of their own, and (run as a program) the child process that performs them."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from invoicing.jobs.kinds import GivesWay, JobKind, Kinds, Performance
from invoicing.jobs.model import Outcome, RetryPolicy, Succeeded
from workers import child
from workers.kinds import drill

SOON = RetryPolicy(first_delay=timedelta(milliseconds=50))
DRILL = replace(drill.KIND, grace=timedelta(seconds=0.7), retry=SOON)


class Nothing(BaseModel):
    """Whatever is sent."""


async def blank(_job: Performance, _payload: Nothing) -> Any:
    """Forget to say how it ended."""


async def unkeepable(_job: Performance, _payload: Nothing) -> Outcome:
    """End with what PostgreSQL cannot store."""
    return Succeeded({"text": "a\0b"})


async def unsayable(_job: Performance, _payload: Nothing) -> Outcome:
    """End with what JSON cannot say."""
    return Succeeded({"text": object()})


async def huge(_job: Performance, _payload: Nothing) -> Outcome:
    """End with more than a result may be."""
    return Succeeded({"text": "x" * 20_000_000})


async def hungry(_job: Performance, _payload: Nothing) -> Outcome:
    """Take memory and keep it."""
    held = bytearray(400_000_000)
    await asyncio.sleep(30)
    return Succeeded({"held": len(held)})


async def slow(_job: Performance, _payload: Nothing) -> Outcome:
    """Take longer than it may, without yielding."""
    time.sleep(30)  # noqa: ASYNC251 - that is the point
    return Succeeded({})


async def brisk(_job: Performance, _payload: Nothing) -> Outcome:
    """End at once."""
    return Succeeded({})


def warms_up_long(settings: Mapping[str, str]) -> None:
    """Take as long to warm up as a test says."""
    time.sleep(float(settings.get("warms_up_for", 0)))


def cold(_settings: object) -> None:
    """Refuse to be warmed up."""
    raise RuntimeError("no fuel")


def _kind(name: str, perform: Any, **more: Any) -> JobKind:
    return JobKind(name, name, Nothing, lambda _payload, _streamed: 0.5, perform, retry=SOON, **more)


KINDS: Kinds = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            DRILL,
            replace(DRILL, name="freezes", gives_way=frozenset({GivesWay.FREEZE})),
            replace(DRILL, name="moves", gives_way=frozenset({GivesWay.RESTART})),
            _kind("blank", blank),
            _kind("unkeepable", unkeepable),
            _kind("unsayable", unsayable),
            _kind("huge", huge),
            _kind("hungry", hungry, memory_mb=300),
            _kind("slow", slow, timeout=timedelta(seconds=0.5)),
            _kind("brisk", brisk, timeout=timedelta(seconds=0.8), warm_up=warms_up_long),
            _kind("cold", blank, warm_up=cold),
        )
    }
)


if __name__ == "__main__":
    child.main(lambda _drills: KINDS)
