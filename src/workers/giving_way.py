"""How running work gives way: at its next checkpoint, or, where none comes, set aside so that it holds no slot."""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from invoicing.jobs.kinds import GivesWay
from invoicing.jobs.model import YIELD, Size
from invoicing.lanes.model import SIZES, Left, fits, used
from workers.attempts import Pack
from workers.nursery import NICE, Nursery
from workers.runner import MOVED, Runner
from workers.telling import Telling
from workers.terms import Terms

log = logging.getLogger(__name__)

_DOES_NOT_STOP_FOR = frozenset({"cancel", "drain"})
"""Told to stop for one of these, it ends soon, one way or another."""

_STAYS_ASIDE_S = 0.5
"""So long a slot is left to those for whom it was freed; they are on their way."""

_HAD_ITS_TIME_S = 0.25
"""What has outlived its class is set aside so long after it was asked: it has had its quantum."""


class GivingWay:
    """Asks, waits for a quantum, sets aside, and brings back."""

    def __init__(
        self, runner: Runner, nursery: Nursery, terms: Terms, telling: Telling, changed: Callable[[], None]
    ) -> None:
        """Work on what a runner runs; `changed` is called when a slot became free."""
        self._nursery = nursery
        self._telling = telling
        self._runner = runner
        self._terms = terms
        self._changed = changed

    def ask_job(self, job_id: UUID) -> None:
        """Ask the attempt at a job, if it is here, to give way."""
        now = asyncio.get_running_loop().time()
        for key, pack in list(self._runner.packs.items()):
            if key[0] == job_id:
                if self._has_hardly_begun(pack, now):
                    pack.asked_early = True
                else:
                    self.ask(pack)

    def ask(self, pack: Pack) -> None:
        """Ask a pack to stop at the next checkpoint; `look` sets it aside where none comes."""
        attempt = pack.current
        if pack.aside or pack.asked_at is not None or attempt.stopping is not None:
            return
        pack.asked_at = asyncio.get_running_loop().time()
        log.info("asked to give way", extra={"action": "attempt.yield", "job_id": str(attempt.claim.id)})
        self._runner.take_back(pack)
        self._runner.stop(attempt, YIELD, None)

    def ask_those_over(self) -> None:
        """Ask the largest, where more run of a class or larger than may: some of them were taken for smaller."""
        for size, count in self._terms.over(self._runner.running()).items():
            mine = [pack for pack in self._counted() if SIZES.index(pack.size) >= SIZES.index(size)]
            asked = sum(pack.asked_at is not None for pack in mine)
            free = sorted(
                (pack for pack in mine if pack.asked_at is None), key=lambda one: (-SIZES.index(one.size), one.began)
            )
            for pack in free[: max(0, count - asked)]:
                self.ask(pack)

    def look(self, pack: Pack, now: float) -> None:
        """Ask a pack that was asked too early; set it aside a quantum after it was asked, or after it came back."""
        if pack.asked_early and not self._has_hardly_begun(pack, now):
            pack.asked_early = False
            self.ask(pack)
        since = pack.asked_at if pack.back_at is None else pack.back_at
        if pack.asked_at is not None and since is not None and now - since >= self._patience_s(pack):
            self._set_aside(pack, now)

    def _patience_s(self, pack: Pack) -> float:
        quantum_s = self._terms.policy.quantum_s
        return min(quantum_s, _HAD_ITS_TIME_S) if pack.outlived else quantum_s

    def _has_hardly_begun(self, pack: Pack, now: float) -> bool:
        """Tell whether small work has yet to run its least: the ledger's clock began when it still had no child.

        It would give way to other small work, which needs a child as well: they would change places until there is one.
        """
        return pack.size == Size.SMALL and pack.worked(now) < self._terms.policy.least_run_s

    def sizes_aside(self) -> list[Size]:
        """List the classes of what is set aside, the smallest first."""
        return sorted({pack.size for pack in self._aside()}, key=SIZES.index)

    def come_back(self, size: Size, left: Left) -> None:
        """Give those of a class slots again that were set aside, the longest waiting first, as far as there are any."""
        now = asyncio.get_running_loop().time()
        aside = sorted(self._aside(), key=lambda one: one.aside_at or 0.0)
        if not aside or now - (aside[-1].aside_at or 0.0) < _STAYS_ASIDE_S:
            return
        for pack in aside:
            if pack.size == size and fits(left, size) and pack.current.stopping not in _DOES_NOT_STOP_FOR:
                left = used(left, size)
                self._bring_back(pack, now)

    def _set_aside(self, pack: Pack, now: float) -> None:
        child, attempt = pack.child, pack.current
        if pack.aside or child is None or attempt.stopping in _DOES_NOT_STOP_FOR:
            return
        bears = frozenset[GivesWay]() if attempt.kind is None else attempt.kind.gives_way
        about = {"job_id": str(attempt.claim.id), "size": pack.size}
        if len(self._aside()) < self._terms.most_aside(outlived=pack.outlived):
            pack.aside_at = now
            self._nursery.set_aside(child)
            self._telling.set_aside(attempt, aside=True)
            child.renice(NICE[Size.HUGE])
            if GivesWay.FREEZE in bears:
                child.freeze()
            log.info("set aside", extra={"action": "attempt.set_aside", **about})
            self._changed()
        elif GivesWay.RESTART in bears:
            log.info("goes elsewhere", extra={"action": "attempt.moved", **about})
            child.kill(MOVED)

    def _bring_back(self, pack: Pack, now: float) -> None:
        pack.aside_at, pack.asked_at, pack.back_at = None, None, now
        self._telling.set_aside(pack.current, aside=False)
        if pack.child is not None:
            self._nursery.bring_back(pack.child)
            pack.child.renice(NICE[pack.size])
            pack.child.thaw()
        self._runner.go_on(pack.current)
        about = {"job_id": str(pack.current.claim.id), "size": pack.size}
        log.info("brought back", extra={"action": "attempt.brought_back", **about})

    def _aside(self) -> list[Pack]:
        return [pack for pack in set(self._runner.packs.values()) if pack.aside]

    def _counted(self) -> list[Pack]:
        return [pack for pack in set(self._runner.packs.values()) if not pack.aside and pack.child is not None]
