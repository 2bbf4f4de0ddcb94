"""Where large requests are checked: child processes, started when the first one comes, few at a time."""

import asyncio
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from invoicing.jobs.checking import Checker, Verdict
from invoicing.jobs.kinds import Kinds
from invoicing.jobs.submission import Draft
from invoicing.kit.problems import Problem

log = logging.getLogger(__name__)

_AT_ONCE = 2
_FRESH_AFTER = 50
"""Requests after which a child is replaced, so that what one of them made it hold is given back."""

_LONGEST_S = 300.0

_checker: Checker | None = None


def _begin(load: Callable[[], Kinds]) -> None:
    global _checker  # noqa: PLW0603 - a child process has one, made when it starts
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    _checker = Checker(load())


def _end_with_parent() -> None:
    """End when the web process is gone: a killed one cannot tell its children."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def _check(request: Path, parts: Path, draft_of: str | None) -> Verdict:
    if _checker is None:
        raise RuntimeError("the child was not begun")
    checker = _checker if draft_of is None else Checker({draft_of: _checker.kinds[draft_of]}, Draft)
    return checker.check(request, parts)


class Intake:
    """Checks requests that are files, away from the event loop and from its memory."""

    def __init__(self, load: Callable[[], Kinds]) -> None:
        """Have the children load the kinds by themselves: `load` must be importable there."""
        self._load = load
        self._pool: ProcessPoolExecutor | None = None
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def check(self, request: Path, parts: Path, draft_of: str | None = None) -> Verdict:
        """Check a request, or a draft of one of a kind; raises `Problem` with what is wrong. Waits while others are."""
        async with self._places:
            children = self._children()
            try:
                async with asyncio.timeout(_LONGEST_S):
                    verdict = await asyncio.get_running_loop().run_in_executor(
                        children, _check, request, parts, draft_of
                    )
            except (BrokenProcessPool, TimeoutError) as error:
                log.exception("the child that checked a request is gone", extra={"action": "intake.broken"})
                if self._pool is children:  # else the request beside it has ended them already, and others began
                    self.close()
                raise Problem(
                    "unavailable",
                    "The request could not be checked; nothing was accepted.",
                    remedy="Send the same request with the same Idempotency-Key again.",
                    headers={"Retry-After": "5"},
                ) from error
        if verdict.problem is not None:
            problem = dict(verdict.problem)
            raise Problem(problem.pop("code"), problem.pop("detail"), **problem)
        return verdict

    def _children(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                _AT_ONCE,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
                initargs=(self._load,),
                max_tasks_per_child=_FRESH_AFTER,
            )
        return self._pool

    def close(self) -> None:
        """End the children, whatever they do."""
        pool, self._pool = self._pool, None
        if pool is not None:
            for child in list((pool._processes or {}).values()):  # noqa: SLF001 - the public way waits for them
                child.kill()
            pool.shutdown(wait=True, cancel_futures=True)
