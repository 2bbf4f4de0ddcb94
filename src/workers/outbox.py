"""Delivers the messages of the outbox, a relay for each channel. Part of the watchdog; any number may run.

A message is marked delivered only after its receiver has said so: a relay that dies in between leaves a lease that
runs out, and the message is sent again under the same id.
"""

import asyncio
import contextlib
import logging
import random
from collections import Counter

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.kit.clock import now
from invoicing.kit.db import transaction
from invoicing.kit.listen import listening
from invoicing.outbox import relaying
from invoicing.outbox.carrying import Carrier
from invoicing.outbox.model import Errand, Outcome, Unanswered
from invoicing.outbox.relaying import Bounds
from workers.pulse import Pulses
from workers.rounds import UNREACHABLE, Rounds

log = logging.getLogger(__name__)

_LONGEST_SLEEP_S = 30.0
_SHORTEST_SLEEP_S = 1.0
_EXPIRE_EVERY_S = 60.0
_AFTER_A_FAILURE_S = 1.0


class Relay:
    """Runs until told to stop; it then finishes what is under way."""

    def __init__(
        self,
        engine: AsyncEngine,
        url: str,
        carrier: Carrier,
        bounds: Bounds | None = None,
        pulses: Pulses | None = None,
    ) -> None:
        """Deliver the messages of a ledger (`url` is for its notifications) that a carrier takes."""
        self._engine = engine
        self._url = url
        self._carrier = carrier
        self._bounds = bounds or Bounds()
        self._woken = asyncio.Event()
        self._sending: dict[asyncio.Task[None], Errand] = {}
        pulses = pulses or Pulses()
        self._name = "_".join(carrier.channels)
        self._relaying = pulses.of(f"relay_{self._name}", _LONGEST_SLEEP_S)
        self._expiring = Rounds("give messages up", "outbox.round_failed", pulses)
        self.tried: Counter[tuple[str, str]] = Counter()
        """Tries to deliver so far, by channel and what became of the message by them."""

    def stop(self) -> None:
        """Take nothing more."""
        self._expiring.stop()
        self._woken.set()

    async def run(self) -> None:
        """Send what is due as it becomes due: woken by the commit that writes it, not by a clock."""
        channels = [relaying.bell_of(self._carrier.channels)]
        async with listening(self._url, channels, lambda *_: self._woken.set(), missed=self._woken.set):
            loop = self._expiring.every(f"expire_{self._name}", _EXPIRE_EVERY_S, self._expire)
            expiring = asyncio.create_task(loop, name="expire")
            try:
                while not self._expiring.ending:
                    self._woken.clear()
                    await self._sleep(await self._round())
            finally:
                await asyncio.gather(expiring, *self._sending)

    async def _round(self) -> float:
        """Start what may be sent now; gives the seconds after which there may be more, unless somebody calls before."""
        try:
            with self._relaying.round():
                if await self.start_due():
                    return 0.0
                async with self._engine.connect() as session:
                    due = await relaying.next_due(session, self._carrier.channels)
        except UNREACHABLE as error:
            log.warning("cannot see what is to be delivered: %s", error, extra={"action": "outbox.round_failed"})
            return _AFTER_A_FAILURE_S
        except Exception:
            log.exception("cannot see what is to be delivered", extra={"action": "outbox.round_failed"})
            return _AFTER_A_FAILURE_S
        # what is due and was not taken waits for a place, here or at another relay
        return _LONGEST_SLEEP_S if due is None else min(max(due, _SHORTEST_SLEEP_S), _LONGEST_SLEEP_S)

    async def start_due(self) -> int:
        """Claim what may be sent now and begin to send it; gives how many."""
        probing = sum(errand.probing for errand in self._sending.values())
        free = self._carrier.room(self._bounds.messages - len(self._sending), now())
        if free <= 0:
            return 0
        async with transaction(self._engine) as session:
            probes = min(free, self._bounds.probes - probing)
            errands = await relaying.take(session, self._carrier.channels, self._bounds, free=free, probes=probes)
        for errand in errands:
            task = asyncio.create_task(self._deliver(errand), name=f"deliver-{errand.id}")
            self._sending[task] = errand
            task.add_done_callback(self._done)
        return len(errands)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._sending[task]
        self._woken.set()  # there is a place again

    async def _deliver(self, errand: Errand) -> None:
        try:
            await self._conclude(errand, await self._send(errand))
        except UNREACHABLE as error:
            log.warning("cannot write what became of a message: %s", error, extra=_named(errand, "outbox.unsettled"))
        except Exception:
            log.exception("cannot deliver a message", extra=_named(errand, "outbox.unsettled"))

    async def _send(self, errand: Errand) -> Outcome:
        """Try once; a mistake of ours counts as a failure too, or its message would come again and again at once."""
        try:
            return await self._carrier.send(errand, now, random.random())  # noqa: S311 - jitter
        except Exception:
            log.exception("cannot send a message", extra=_named(errand, "outbox.unsendable"))
            return Unanswered("internal", "Something went wrong on our side.")

    async def _conclude(self, errand: Errand, outcome: Outcome) -> None:
        async with transaction(self._engine) as session:
            verdict, current = await relaying.conclude(session, errand, outcome, random.random())  # noqa: S311 - jitter
        self.tried[errand.channel, verdict.outcome] += 1
        told = {"outcome": verdict.outcome, "status": verdict.status, "state": verdict.state, "current": current}
        log.info("tried to deliver a message", extra={**_named(errand, "outbox.tried"), **told})

    async def _expire(self) -> None:
        async with transaction(self._engine) as session:
            expired = await relaying.expire(session)
        if expired:
            log.warning("gave messages up", extra={"action": "outbox.expired", "count": expired})

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)


def _named(errand: Errand, action: str) -> dict[str, object]:
    """Name a message in the log: neither its body nor its endpoint's address or secret."""
    return {"action": action, "message_id": str(errand.id), "endpoint_id": str(errand.endpoint_id)} | {
        "event": errand.event,
        "attempt": errand.attempt,
    }
