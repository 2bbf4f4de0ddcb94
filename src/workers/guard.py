"""Looks after everything that runs in a worker, in one task: limits, classes, quanta, packs that are held up."""

import asyncio
import logging
from collections.abc import Callable

from invoicing.jobs.model import JobError, Size
from workers.attempts import Pack
from workers.giving_way import GivingWay
from workers.nursery import NICE
from workers.runner import STOPPED, Runner
from workers.sandbox import LONGEST_WARM_UP_S, ChildProcess, may_raise_priority, resident_mb
from workers.standstill import Why
from workers.telling import Telling
from workers.terms import Terms

log = logging.getLogger(__name__)

_EVERY_S = 0.05

_TIMES_PREDICTED, _LONG_S = 3.0, 0.3
"""What has taken so many times what was predicted, and so long, may go on for long: it gets the weight of the next
class before it has outlived its own, so that others are loaded and start beside it."""
_MEMORY_EVERY = 5
"""Rounds between two looks at memory."""

_HELD_UP_S = 0.25
"""A pack that takes longer is taken apart: its jobs claimed to take a fifth of that, all together."""

_HEARD_WITHIN_S = 0.25
"""So long after the ledger is told that a pack outgrew its class it counts in the larger one: by then those that wait
and lied alike are known, and do not take the place that it leaves (`workers.learner` needs half of that)."""


class Guard:
    """Runs while its worker does."""

    def __init__(
        self,
        runner: Runner,
        giving_way: GivingWay,
        terms: Terms,
        telling: Telling,
        changed: Callable[[], None],
    ) -> None:
        """Look after what a runner runs; `changed` is called when a slot became free."""
        self._runner = runner
        self._giving_way = giving_way
        self._terms = terms
        self._telling = telling
        self._changed = changed
        self._may_raise = may_raise_priority()
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
        self._watch_weight(pack, child, worked)
        self._watch_class(pack, child, now, worked)
        self._giving_way.look(pack, now)

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
        elif child.standstill.lasts(Why.WARMING, now) > LONGEST_WARM_UP_S:
            child.kill(JobError("timeout", f"Warming up took longer than {LONGEST_WARM_UP_S:.0f} s."))
        elif kind is not None and worked > kind.timeout.total_seconds():
            child.kill(JobError("timeout", f"The attempt took longer than {kind.timeout.total_seconds():.0f} s."))
        elif (
            kind is not None and self._round % _MEMORY_EVERY == 0 and (held := resident_mb(child.pid)) > kind.memory_mb
        ):
            child.kill(JobError("memory_limit", f"The attempt needed {held} MB; {kind.memory_mb} MB are allowed."))

    def _watch_weight(self, pack: Pack, child: ChildProcess, worked: float) -> None:
        """Give a process less weight whose small work takes far longer than predicted, if that can be taken back."""
        late = worked > max(_LONG_S, _TIMES_PREDICTED * pack.current.claim.predicted_s)
        if late and child.nice < NICE[Size.MEDIUM] and self._may_raise:
            child.renice(NICE[Size.MEDIUM])

    def _watch_class(self, pack: Pack, child: ChildProcess, now: float, worked: float) -> None:
        """Give a pack's process less weight once it outgrew its class, and soon count it in the larger one."""
        limit = self._terms.overrun_s(pack.size, asked=pack.asked_at is not None)
        if limit is None or worked <= limit or len(pack.open) > 1:
            return
        size = self._terms.policy.cutoffs.classify(worked)
        if pack.outgrew_at is None:
            pack.outgrew_at = now
            self._telling.reclassed(pack.current, size)
            if not pack.aside:
                child.renice(NICE[size])
        elif now - pack.outgrew_at >= _HEARD_WITHIN_S:
            pack.size, pack.outgrew_at = size, None
            self._giving_way.ask_those_over()
            self._changed()
