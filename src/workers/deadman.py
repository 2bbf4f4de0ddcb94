"""A ping to the outside while every loop of the watchdog gets on: what alarms somebody is that it does not come.

The receiver (Healthchecks, Dead Man's Snitch, a heartbeat check of a monitoring system) runs elsewhere, and raises the
alarm when it has heard nothing for some minutes: nothing that stops here can stop that.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence

from invoicing.kit.egress import Egress, EgressError

log = logging.getLogger(__name__)

_EVERY_S = 60.0
_AGAIN_S = 10.0
"""When a ping got through to nobody, it is sent again sooner: the receiver's patience is its own."""


class Deadman:
    """Runs until told to stop."""

    def __init__(
        self,
        url: str,
        egress: Egress,
        late: Callable[[], Sequence[str]],
        *,
        every_s: float = _EVERY_S,
        again_s: float = _AGAIN_S,
    ) -> None:
        """Ping a URL; `late()` names the loops that do not get on."""
        self._url = url
        self._egress = egress
        self._late = late
        self._every_s = every_s
        self._again_s = again_s
        self._ended = asyncio.Event()
        self.pings: Counter[str] = Counter(dict.fromkeys(("sent", "failed", "withheld"), 0))
        """How many were heard, were sent in vain, or were not sent."""

    def stop(self) -> None:
        """Ping no more."""
        self._ended.set()

    async def run(self) -> None:
        """Ping now, and every minute from then on."""
        while not self._ended.is_set():
            outcome = await self.ping()
            self.pings[outcome] += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), self._again_s if outcome == "failed" else self._every_s)

    async def ping(self) -> str:
        """Ping once, unless a loop is late; gives what became of it. The URL is a secret: it is not logged."""
        if late := self._late():
            log.error("loops do not get on: no ping", extra={"action": "deadman.withheld", "loops": list(late)})
            return "withheld"
        try:
            reply = await self._egress.get(self._url, {"User-Agent": "invoicing-watchdog/1"})
        except EgressError as error:
            log.warning("nobody heard the ping: %s", error, extra={"action": "deadman.failed", "code": error.code})
            return "failed"
        except Exception:
            log.exception("cannot ping", extra={"action": "deadman.failed"})
            return "failed"
        if 200 <= reply.status < 300:
            return "sent"
        log.warning("the ping was refused", extra={"action": "deadman.failed", "status": reply.status})
        return "failed"
