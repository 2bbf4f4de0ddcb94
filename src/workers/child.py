"""The child process: performs one attempt after another, and dies with the worker that started it."""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.app import load_kinds
from invoicing.jobs.kinds import JobKind, Kinds, StopRequested
from invoicing.jobs.model import Cancelled, Claim, Failed, Interrupted, JobError, Outcome, Rejected
from invoicing.kit import logs
from invoicing.kit.db import make_engine
from workers.last_words import LastWords, last_word
from workers.messages import (
    LOADED,
    STILL,
    WARMING,
    attempt_of,
    claims_of,
    kept_message,
    line,
    read,
    surroundings_of,
    warm_message,
)
from workers.performance import FencedPerformance
from workers.slate import Slate
from workers.stillness import Stillness
from workers.warmth import Warmth
from workers.weight import lead_group

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1

_PATIENCE_S = 60.0
"""The longest that a statement of a step may take: while a silent ledger is waited for, the lease goes on."""


class Child:
    """Performs attempts in the main thread while another thread listens to the worker."""

    def __init__(self, channel: socket.socket, slate: Slate, load: Callable[[bool], Kinds]) -> None:
        """Talk to the worker over a socket, and leave on the slate what has begun; `load(drills)` gives the kinds."""
        self._channel = channel
        self._slate = slate
        self._load = load
        self._lines = channel.makefile("rb")
        self._orders: asyncio.Queue[list[Claim] | None] = asyncio.Queue()
        """Attempts to perform; None: warm up."""
        self._current: FencedPerformance | None = None
        self._told: dict[tuple[UUID, int], str | None] = {}
        """Why attempts of the present order must stop, even where they have not begun."""
        self._dropped = False
        self._traced = False
        self._ended = LastWords()
        self._speaking = threading.Lock()
        self._stillness = Stillness(lambda: self._say(STILL))

    async def run(self) -> None:
        """Load all code, say so, then warm up or perform as asked until the worker goes away."""
        self._load(False)
        told = self._lines.readline()
        if not told:  # the worker ended before it had anything to tell
            return
        around = surroundings_of(read(told))
        self._traced = around.traced
        engine = make_engine(
            around.database_url, pool_size=2, overflow=0, name="invoicing-child", by_key=True, patience_s=_PATIENCE_S
        )
        kinds = self._load(around.drills)
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(loop,), name="listen", daemon=True).start()
        warmth = Warmth(kinds, around.settings)
        self._say(LOADED)
        while True:
            claims = await self._orders.get()
            if claims is None:
                self._say(warm_message(warmth.warm_up()))
            else:
                await self._carry_out(engine, kinds, warmth, claims, around.settings)

    async def _carry_out(
        self, engine: AsyncEngine, kinds: Kinds, warmth: Warmth, claims: Sequence[Claim], settings: Mapping[str, str]
    ) -> None:
        """Perform attempts one after the other, and say together how they ended."""
        for place, claim in enumerate(claims, 1):
            if self._dropped:
                break
            self._slate.begun = place
            if warmth.lacks(claim.kind):
                self._say(WARMING)
                self._say(warm_message(warmth.warm_up([claim.kind])))
            began = time.monotonic()
            outcome = await self._perform(engine, kinds, claim, settings)
            self._current = None
            with self._speaking:
                at_once = self._ended.add(last_word(claim, outcome, time.monotonic() - began))
            if at_once:
                self._say_ended()
        self._say_ended(all_said=True)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Pass on orders; a worker that is gone takes this process with it, whatever the main thread is doing."""
        try:
            for text in self._lines:
                self._hear(read(text), loop)
        finally:
            os._exit(0)

    def _hear(self, message: Mapping[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        match message:
            case {"perform": _}:
                self._dropped = False
                self._told = {}
                loop.call_soon_threadsafe(self._orders.put_nowait, claims_of(message))
            case {"warm_up": _}:
                loop.call_soon_threadsafe(self._orders.put_nowait, None)
            case {"stop": why}:
                self._told[attempt_of(message)] = why
                self._pass_on()
            case {"drop": _}:
                self._dropped = True
                self._say_ended()
            case {"freeze": True}:
                self._stillness.freeze()
            case {"freeze": False}:
                self._stillness.thaw()

    def _say(self, message: Mapping[str, Any]) -> None:
        with self._speaking:
            self._channel.sendall(line(message))

    def _say_ended(self, *, all_said: bool = False) -> None:
        """Say how attempts ended since this was last said; by either thread, so under one lock."""
        with self._speaking:
            self._channel.sendall(self._ended.take(all_said=all_said))

    def _say_kept(self, attempt: tuple[UUID, int], number: int, began_ns: int, ended_ns: int) -> None:
        self._say(kept_message(attempt, number, began_ns, ended_ns))

    def _pass_on(self) -> None:
        """Tell the attempt to stop; called by each thread after its half, so that neither order of them loses it."""
        current = self._current
        if current is not None and (current.job_id, current.attempt) in self._told:
            current.stop(self._told[current.job_id, current.attempt])

    async def _perform(self, engine: AsyncEngine, kinds: Kinds, claim: Claim, settings: Mapping[str, str]) -> Outcome:
        kind = kinds.get(claim.kind)
        if kind is None:
            return Failed(JobError("unknown_kind", f"This build does not know the kind {claim.kind}."))
        try:
            kept = self._say_kept if self._traced else None
            job = FencedPerformance(engine, claim, settings, self._stillness, kept)
            self._current = job
            self._pass_on()
            return await kind.perform(job, _payload(kind, await job.body(), split=claim.split))
        except StopRequested as order:
            return Cancelled() if order.why == "cancel" else Interrupted(order.why)
        except ValidationError as error:
            return Rejected(_no_longer_valid(error))
        except Exception as error:
            log.exception("the kind %s raised", claim.kind, extra={"action": "attempt.raised", "job_id": str(claim.id)})
            return Failed(JobError("internal", f"The work failed unexpectedly ({type(error).__name__})."))


def _payload(kind: JobKind, body: bytes, *, split: bool) -> BaseModel:
    """Read the payload from the request; where a streamed field was split off, only the header is there."""
    payload = from_json(body)["payload"]
    if split and kind.streamed is not None:
        payload.pop(kind.streamed.field, None)
        return kind.streamed.header.model_validate(payload)
    return kind.payload.model_validate(payload)


def _no_longer_valid(error: ValidationError) -> JobError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = "/payload/" + "/".join(str(step) for step in first["loc"])
    return JobError("bad_input", first["msg"], field=where, remedy="Submit a corrected request.")


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its worker dies, even while C code holds the interpreter."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def builtin(drills: bool) -> Kinds:  # noqa: FBT001 - a setting, passed on
    """Load the kinds that are installed."""
    return load_kinds(drills=drills)


def main(load: Callable[[bool], Kinds] = builtin) -> None:
    """Run as `python -m workers.child CHANNEL SLATE`, two file descriptors."""
    _die_with_parent()
    lead_group()
    logs.to_stderr(os.environ.get("INVOICING_LOG_LEVEL", "INFO"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the worker decides
    channel, slate = (int(descriptor) for descriptor in sys.argv[1:3])
    asyncio.run(Child(socket.socket(fileno=channel), Slate(slate), load).run())


if __name__ == "__main__":
    main()
