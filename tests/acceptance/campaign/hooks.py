"""The customers' webhooks: one real receiver, which now and then refuses a message at first, or cuts its answer off."""

import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from ...integration.outbox.receiver import OK, Got, Receiver, receiving, status
from .observed import Arrival, Hook

WANTED: Mapping[str, frozenset[str] | None] = {"all": None, "troubles": frozenset({"job.dead", "job.cancelled"})}
"""The webhooks of each customer: one is told of everything, one only of what did not succeed."""

_CUT_OFF = b""


@dataclass
class Hooks:
    """What was added, and what came."""

    draw: random.Random
    receiver: Receiver
    added: list[Hook] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    async def add(self, http: httpx.AsyncClient, keys: Mapping[str, str]) -> None:
        """Add the webhooks of customers, whose keys these are."""
        for customer, key in keys.items():
            for kind, events in WANTED.items():
                name = f"{customer}-{kind}"
                form: dict[str, Any] = {"url": f"http://127.0.0.1:{self.receiver.port}/{name}"}
                if events is not None:
                    form["events"] = sorted(events)
                headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"hook-{name}"}
                made = (await http.post("/v1/webhooks", headers=headers, json=form)).raise_for_status()
                self.added.append(Hook(name, customer, made.json()["secret"], events))

    def answer(self, got: Got) -> bytes:
        """Write down what came, and say how it is taken; what came before is never refused."""
        chance = 1.0 if got.id in self.known else self.draw.random()
        self.known.add(got.id)
        said = _CUT_OFF if chance < 0.03 else status(500) if chance < 0.06 else OK
        timestamp, signature = (got.headers.get(f"webhook-{name}", "") for name in ("timestamp", "signature"))
        came = Arrival(got.path.lstrip("/"), time.time(), got.id, timestamp, signature, got.body, said == OK)
        self.arrivals.append(came)
        return said


@asynccontextmanager
async def receiving_hooks(seed: int) -> AsyncIterator[Hooks]:
    """Receive while the block runs."""
    async with receiving() as receiver:
        hooks = Hooks(random.Random(seed), receiver)
        receiver.answer = hooks.answer
        yield hooks
