"""Looks after everything that runs in a worker, in one task: limits, classes, quanta, packs that are held up."""

import asyncio
import logging

from invoicing.jobs.model import JobError
from workers.attempts import Pack
from workers.giving_way import GivingWay
from workers.nursery import NICE, Nursery
from workers.runner import STOPPED, Runner
from workers.sandbox import ChildProcess, resident_mb
from workers.telling import Telling
from workers.terms import Terms

log = logging.getLogger(__name__)

_EVERY_S = 0.05
_MEMORY_EVERY = 5
"""Rounds between two looks at memory."""

_HELD_UP_S = 0.25
"""A pack that takes longer is taken apart: its jobs claimed to take a fifth of that, all together."""

_LONG_S = 0.3
"""What runs for longer may go on for long: another child is made ready for when it is set aside."""


class Guard:
    """Runs while its worker does."""

    def __init__(
        self,
        runner: Runner,
        giving_way: GivingWay,
        nursery: Nursery,
        terms: Terms,
        telling: Telling,
    ) -> None:
        """Look after what a runner runs."""
        self._runner = runner
        self._giving_way = giving_way
        self._nursery = nursery
        self._terms = terms
        self._telling = telling
        self._round = 0

    async def run(self) -> None:
        """Look round until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_EVERY_S)
            self._round += 1
            for pack in set(self._runner.packs.values()):
                if pack.child is not None and pack.child.alive:
                    try:
                        self._look(pack, pack.child, loop.time())
                    except Exception:  # one that cannot be looked after must not leave the others alone
                        log.exception("cannot look after a pack", extra={"action": "guard.failed"})

    def _look(self, pack: Pack, child: ChildProcess, now: float) -> None:
        worked = pack.worked(now)
        self._take_apart(pack, worked)
        self._limit(pack, child, now, worked)
        self._watch_class(pack, child, worked)
        self._giving_way.look(pack, now)
        if worked > _LONG_S:
            self._nursery.expect_more()

    def _take_apart(self, pack: Pack, worked: float) -> None:
        if len(pack.open) > 1 and worked > _HELD_UP_S:
            if pack.dropped and worked > 2 * _HELD_UP_S:
                self._runner.take_back_unsaid(pack)
            elif not pack.dropped:
                self._runner.take_back(pack)

    def _limit(self, pack: Pack, child: ChildProcess, now: float, worked: float) -> None:
        kind = pack.current.kind
        if pack.kill_at is not None and now >= pack.kill_at:
            child.kill(STOPPED)
        elif kind is not None and worked > kind.timeout.total_seconds():
            child.kill(JobError("timeout", f"The attempt took longer than {kind.timeout.total_seconds():.0f} s."))
        elif (
            kind is not None and self._round % _MEMORY_EVERY == 0 and (held := resident_mb(child.pid)) > kind.memory_mb
        ):
            child.kill(JobError("memory_limit", f"The attempt needed {held} MB; {kind.memory_mb} MB are allowed."))

    def _watch_class(self, pack: Pack, child: ChildProcess, worked: float) -> None:
        """Count a pack against the class that it turned out to belong to, and give its process less weight."""
        limit = self._terms.overrun_s(pack.size)
        if limit is None or worked <= limit or len(pack.open) > 1:
            return
        pack.size = self._terms.policy.cutoffs.classify(worked)
        if not pack.aside:
            child.renice(NICE[pack.size])
        self._telling.reclassed(pack.current, pack.size)
        self._giving_way.ask_those_over()
