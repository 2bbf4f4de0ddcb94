"""The child process: performs one attempt after another, and dies with the worker that started it."""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.app import load_kinds
from invoicing.jobs.kinds import JobKind, Kinds, StopRequested
from invoicing.jobs.model import Cancelled, Claim, Failed, Interrupted, JobError, Outcome, Rejected
from invoicing.kit import logs
from invoicing.kit.db import make_engine
from workers.messages import LONGEST_LINE, claim_of, line, outcome_message, read, surroundings_of
from workers.performance import FencedPerformance

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


class Child:
    """Performs attempts in the main thread while another thread listens to the worker."""

    def __init__(self, channel: socket.socket, load: Callable[[bool], Kinds]) -> None:
        """Talk to the worker over a socket; `load(drills)` gives the kinds."""
        self._channel = channel
        self._load = load
        self._lines = channel.makefile("rb")
        self._orders: asyncio.Queue[Claim] = asyncio.Queue()
        self._current: FencedPerformance | None = None
        self._told: str | None = None
        """Why the attempt that was ordered last must stop, even where it has not begun."""

    async def run(self) -> None:
        """Warm up, say so, then perform what is asked until the worker goes away."""
        self._load(False)
        told = self._lines.readline()
        if not told:  # the worker ended before it had anything to tell
            return
        around = surroundings_of(read(told))
        engine = make_engine(around.database_url, pool_size=2, overflow=0, name="invoicing-child")
        kinds = self._load(around.drills)
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(loop,), name="listen", daemon=True).start()
        cold = {name: str(error) for name, error in _warm_up(kinds, around.settings).items()}
        self._channel.sendall(line({"ready": True, "cold": cold}))
        while True:
            claim = await self._orders.get()
            outcome = await self._perform(engine, kinds, claim, around.settings)
            self._current = None
            self._channel.sendall(_last_word(claim, outcome))

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Pass on orders; a worker that is gone takes this process with it, whatever the main thread is doing."""
        try:
            for text in self._lines:
                message = read(text)
                if "perform" in message:
                    self._told = None
                    loop.call_soon_threadsafe(self._orders.put_nowait, claim_of(message["perform"]))
                else:
                    self._told = message["stop"]
                    self._pass_on()
        finally:
            os._exit(0)

    def _pass_on(self) -> None:
        """Tell the attempt to stop; called by each thread after its half, so that neither order of them loses it."""
        current, told = self._current, self._told
        if current is not None and told is not None:
            current.stop(told)

    async def _perform(self, engine: AsyncEngine, kinds: Kinds, claim: Claim, settings: Mapping[str, str]) -> Outcome:
        kind = kinds.get(claim.kind)
        if kind is None:
            return Failed(JobError("unknown_kind", f"This build does not know the kind {claim.kind}."))
        try:
            job = await FencedPerformance.begin(engine, claim, settings)
            self._current = job
            self._pass_on()
            return await kind.perform(job, _payload(kind, await job.body(), split=bool(await job.parts())))
        except StopRequested as order:
            return Cancelled() if order.why == "cancel" else Interrupted(order.why)
        except ValidationError as error:
            return Rejected(_no_longer_valid(error))
        except Exception as error:
            log.exception("the kind %s raised", claim.kind, extra={"action": "attempt.raised", "job_id": str(claim.id)})
            return Failed(JobError("internal", f"The work failed unexpectedly ({type(error).__name__})."))


def _last_word(claim: Claim, outcome: Outcome) -> bytes:
    """Say how an attempt ended; an outcome that cannot be said is a failure."""
    about = {"attempt": claim.attempt, "id": str(claim.id)}
    try:
        said = line({**outcome_message(outcome), **about})
        if len(said) <= LONGEST_LINE:
            return said
    except Exception:
        log.exception("no outcome", extra={"action": "attempt.no_outcome", "job_id": str(claim.id)})
    error = JobError("unknown_outcome", f"The kind {claim.kind} ended without an outcome that can be kept.")
    return line({**outcome_message(Failed(error)), **about})


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


def _warm_up(kinds: Kinds, settings: Mapping[str, str]) -> dict[str, Exception]:
    """Warm every kind up; one that cannot be is reported, and the others go on."""
    cold: dict[str, Exception] = {}
    for kind in kinds.values():
        try:
            kind.warm_up(settings)
        except Exception as error:
            log.exception("%s cannot be warmed up", kind.name, extra={"action": "child.cold"})
            cold[kind.name] = error
    return cold


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its worker dies, even while C code holds the interpreter."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def builtin(drills: bool) -> Kinds:  # noqa: FBT001 - a setting, passed on
    """Load the kinds that are installed."""
    return load_kinds(drills=drills)


def main(load: Callable[[bool], Kinds] = builtin) -> None:
    """Run as `python -m workers.child FD`."""
    _die_with_parent()
    logs.to_stderr(os.environ.get("INVOICING_LOG_LEVEL", "INFO"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the worker decides
    asyncio.run(Child(socket.socket(fileno=int(sys.argv[1])), load).run())


if __name__ == "__main__":
    main()
