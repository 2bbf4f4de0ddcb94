"""What a process does again and again: rounds, each kind at its own pace, until it is told to stop.

A round that fails is logged and comes again: these loops look after jobs, and one that ended would help nobody.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import asyncpg
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from workers.pulse import Pulses

log = logging.getLogger(__name__)

UNREACHABLE = (
    *(OSError, TimeoutError, PoolTimeoutError, DBAPIError),
    *(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError),
)
"""What a round may meet when the database is away, or is coming back; the loop goes on."""


class Rounds:
    """The rounds of one part of a process, which end together."""

    def __init__(self, duty: str, action: str, pulses: Pulses | None = None) -> None:
        """Say of a round that fails that we cannot do our `duty`, under the name of an action."""
        self._duty = duty
        self._about = {"action": action}
        self._pulses = pulses or Pulses()
        self._ended = asyncio.Event()

    @property
    def ending(self) -> bool:
        """Whether to take no further step."""
        return self._ended.is_set()

    def stop(self) -> None:
        """End after the rounds that are under way."""
        self._ended.set()

    async def every(
        self, name: str, seconds: float, round_: Callable[[], Awaitable[object]], *, patience_s: float | None = None
    ) -> None:
        """Call `round_` again and again, with pauses of so long (seconds); where these may be longer, say `patience_s`.

        It counts as the loop's period when it is judged whether it gets on.
        """
        pulse = self._pulses.of(name, seconds if patience_s is None else patience_s)
        while not self.ending:
            try:
                with pulse.round():
                    await round_()
            except (RedisError, *UNREACHABLE) as error:
                log.warning("cannot %s now: %s", self._duty, error, extra=self._about)
            except Exception:
                log.exception("cannot %s", self._duty, extra=self._about)
            await self.pause(seconds)

    def get_on(self, name: str) -> None:
        """Note after a step of a long round that it gets on."""
        self._pulses.get_on(name)

    async def pause(self, seconds: float) -> None:
        """Wait so long (seconds), or until it ends."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), seconds)
