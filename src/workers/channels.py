"""Has the channel that the environment adds be there from the start. Part of the watchdog."""

import asyncio
import contextlib
import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.alerts import service as alerts
from invoicing.kit.db import transaction
from workers.rounds import UNREACHABLE

log = logging.getLogger(__name__)

_AFTER_A_FAILURE_S = 1.0


class Channels:
    """Runs until it is done, or told to stop."""

    def __init__(self, engine: AsyncEngine, alertmanager_url: str | None) -> None:
        """Keep the channels of a ledger in step with the environment."""
        self._engine = engine
        self._url = alertmanager_url
        self._ended = asyncio.Event()

    def stop(self) -> None:
        """Try no further."""
        self._ended.set()

    async def run(self) -> None:
        """Write it, as soon as the ledger can be reached."""
        while not self._ended.is_set():
            try:
                async with transaction(self._engine) as session:
                    await alerts.keep_environments(session, self._url)
            except UNREACHABLE as error:
                log.warning("cannot set channels up: %s", error, extra={"action": "alerts.not_set_up"})
            except Exception:
                log.exception("cannot set channels up", extra={"action": "alerts.not_set_up"})
            else:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _AFTER_A_FAILURE_S)
