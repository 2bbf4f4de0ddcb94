"""A bell: rung by whoever has news, answered once for all that rang within a moment."""

import asyncio
import contextlib


class Bell:
    """For one who does something now and then, and soon where there are news; never more often than they gather."""

    def __init__(self, gather_s: float) -> None:
        """Answer so long after it rang (seconds), for all that rings until then."""
        self._gather_s = gather_s
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Say that there are news."""
        self._rung.set()

    async def wait(self, at_most_s: float) -> None:
        """Wait until it rang and the news are gathered, or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._rung.wait()
        if self._rung.is_set():
            await asyncio.sleep(self._gather_s)
        self._rung.clear()
