"""Customers of a measurement: jobs sent one after the other at random times, or very many at once."""

import asyncio
import json
import random
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import httpx

Body = Mapping[str, Any]
Result = TypeVar("Result")

_AT_ONCE = 10_000
"""Lines of a batch; the service takes no more."""

_ACCEPTED = 202


class Sender:
    """Sends requests of customers to one service."""

    def __init__(self, url: str) -> None:
        """Send them there."""
        self._client = httpx.AsyncClient(base_url=url, timeout=120)

    async def submit(self, key: str, body: Body) -> uuid.UUID:
        """Send one job."""
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": str(uuid.uuid4())}
        answer = await self._client.post("/v1/jobs", json=body, headers=headers)
        answer.raise_for_status()
        return uuid.UUID(answer.json()["id"])

    async def submit_many(self, key: str, bodies: Sequence[Body]) -> int:
        """Send many jobs as batches; gives how many were accepted."""
        accepted = 0
        for first in range(0, len(bodies), _AT_ONCE):
            lines = "\n".join(json.dumps(body) for body in bodies[first : first + _AT_ONCE])
            headers = {
                "Authorization": f"Bearer {key}",
                "Idempotency-Key": str(uuid.uuid4()),
                "Content-Type": "application/x-ndjson",
            }
            answer = await self._client.post("/v1/jobs:batch", content=lines, headers=headers)
            answer.raise_for_status()
            accepted += sum(json.loads(line)["status"] == _ACCEPTED for line in answer.text.splitlines())
        return accepted

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()


async def at_random(
    send: Callable[[], Coroutine[Any, Any, Result]], per_second: float, seconds: float, seed: int
) -> list[Result]:
    """Call so many times a second on average, at times of a Poisson process; waits for all the answers."""
    chance = random.Random(seed)
    tasks: list[asyncio.Task[Result]] = []
    began = due = time.monotonic()
    while (due := due + chance.expovariate(per_second)) < began + seconds:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.append(asyncio.create_task(send()))
    return await asyncio.gather(*tasks)
