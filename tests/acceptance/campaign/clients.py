"""Customers' programs: each submits under a key for as long as it takes, looks, cancels, sends again, sends batches."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from .observed import FINAL, NOTHING_CAME, Answer, Request, Sighting
from .work import Work, drawn, small_drill

GIVES_UP_AFTER_S = 60.0
"""How long a client waits for an answer; whatever is staged, it gets one sooner, be it that the service is away."""

_MOST_PATIENCE_S = 2.0
"""A client waits no longer than this between two tries, whatever Retry-After says: that makes more of them."""


@dataclass
class Log:
    """What all clients wrote down."""

    requests: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    probes: list[Request] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)


class Client:
    """One program of a customer."""

    def __init__(self, name: str, customer: str, http: httpx.AsyncClient, keys: Mapping[str, str], log: Log) -> None:
        """Speak for a customer; `keys` by customer, and `support` for our staff's own."""
        self._name = name
        self._customer = customer
        self._http = http
        self._key, self._staff = keys[customer], keys["support"]
        self._log = log
        self._draw = random.Random(name)
        self._number = 0
        self._beside: set[asyncio.Task[None]] = set()

    async def work_until(self, stop: asyncio.Event, apart: float) -> None:
        """Ask for work at random instants, `apart` seconds on average, then see all of it through."""
        while not stop.is_set():
            if self._draw.random() < 0.04:
                works = [small_drill(self._draw, "bulk") for _ in range(self._draw.randint(5, 30))]
                self._begin(self._batch(works))
            else:
                self._begin(self._one(drawn(self._draw)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._draw.expovariate(1 / apart))
        while self._beside:
            await asyncio.wait(self._beside)

    async def probe_until(self, stop: asyncio.Event, apart: float) -> None:
        """Ask for next to nothing again and again: how soon that is done tells when the service works again."""
        while not stop.is_set():
            self._begin(self._probe())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), apart)
        while self._beside:
            await asyncio.wait(self._beside)

    async def watch_until(self, stop: asyncio.Event, apart: float) -> None:
        """Look at all unfinished jobs of the customer again and again, and write down why they are told to wait."""
        params = {"state": "in_review,queued,running,retrying", "page_size": "200"}
        while not stop.is_set():
            at = time.time()
            answer = await self._ask("GET", "/v1/jobs", params=params)
            if answer is not None and answer.status_code == 200:
                self._log.sightings += [Sighting(at, job["id"], job["cause"]["code"]) for job in answer.json()["items"]]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), apart)

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._beside.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._beside.discard(task)
        task.result()  # a mistake of the campaign itself ends it, loudly

    def _request(self, work: Work) -> Request:
        self._number += 1
        request = Request(
            f"{self._name}-{self._number}", self._customer, work.body["kind"], work.may_end, sent_at=time.time()
        )
        self._log.requests.append(request)
        return request

    async def _probe(self) -> None:
        work = small_drill(self._draw, "urgent")
        request = self._request(work)
        self._log.probes.append(request)
        await self._submit(request, work)

    async def _one(self, work: Work) -> None:
        request = self._request(work)
        await self._submit(request, work)
        await self._look(request)
        if self._draw.random() < 0.1:  # a client that forgot that it was answered
            await self._submit(request, work)
        if work.cancel_after is not None:
            await asyncio.sleep(work.cancel_after)
            await self._cancel(request)
        if work.staff_retries:
            await self._have_retried(request)

    async def _submit(self, request: Request, work: Work) -> None:
        """Send until it is accepted, always the same under the same key."""
        body = json.dumps(work.body).encode()
        headers = {"Idempotency-Key": request.key, "Content-Type": "application/json"}
        while True:
            answer = await self._ask("POST", "/v1/jobs", headers=headers, content=body)
            if answer is not None and answer.status_code == 202:
                request.ids.add(answer.json()["id"])
                return
            await self._wait(answer)

    async def _look(self, request: Request) -> None:
        """Find the job that was accepted a moment ago."""
        (job_id, *_) = request.ids
        while True:
            answer = await self._ask("GET", f"/v1/jobs/{job_id}")
            if answer is not None and answer.status_code == 404:
                request.unseen += 1
            if answer is not None and answer.status_code < 500:
                return
            await self._wait(answer)

    async def _cancel(self, request: Request) -> None:
        (job_id, *_) = request.ids
        while True:
            answer = await self._ask("POST", f"/v1/jobs/{job_id}:cancel")
            if answer is not None and answer.status_code < 500:
                request.cancelled |= answer.status_code < 300
                return
            await self._wait(answer)

    async def _have_retried(self, request: Request) -> None:
        """Have our staff try it again, once it is dead; asked twice because no answer came, it may be refused."""
        (job_id, *_) = request.ids
        while True:
            job = await self._ask("GET", f"/v1/jobs/{job_id}")
            if job is not None and job.status_code == 200 and job.json()["state"] in FINAL:
                break
            await asyncio.sleep(1.0)
        await self._ask("POST", f"/v1/support/jobs/{job_id}:retry", key=self._staff, json={"reason": "a rehearsal"})

    async def _batch(self, works: Sequence[Work]) -> None:
        """Send many at once, each line under a key of its own, until every line is accepted."""
        waiting = [(self._request(work), work) for work in works]
        headers = {"Idempotency-Key": f"{self._name}-batch-{self._number}", "Content-Type": "application/x-ndjson"}
        while waiting:
            lines = [json.dumps({**work.body, "idempotency_key": request.key}) for request, work in waiting]
            answer = await self._ask("POST", "/v1/jobs:batch", headers=headers, content="\n".join(lines).encode())
            if answer is not None and answer.status_code == 200:
                waiting = list(self._still_waiting(waiting, answer))
            if waiting:
                await self._wait(answer)

    def _still_waiting(
        self, sent: Sequence[tuple[Request, Work]], answer: httpx.Response
    ) -> Iterator[tuple[Request, Work]]:
        told = {one["line"]: one for one in map(json.loads, answer.text.splitlines())}
        for number, (request, work) in enumerate(sent, 1):
            line = told.get(number, {"status": None})
            if line["status"] == 202:
                request.ids.add(line["job"]["id"])
            else:
                yield request, work
            if line["status"] is not None and line["status"] not in {202, 429, 503}:
                self._note(f"line of {answer.request.url.path}", time.time(), 0.0, line["status"], None, str(line))

    async def _ask(self, method: str, path: str, *, key: str = "", **content: Any) -> httpx.Response | None:
        """Ask once; None where no answer came. Everything is written down."""
        headers = {"Authorization": f"Bearer {key or self._key}", **content.pop("headers", {})}
        asked, at, began = f"{method} {_without_ids(path)}", time.time(), time.monotonic()
        try:
            answer = await self._http.request(method, path, headers=headers, **content)
        except httpx.TransportError as error:
            what = NOTHING_CAME if isinstance(error, httpx.ReadTimeout) else type(error).__name__
            self._note(asked, at, time.monotonic() - began, None, None, what)
            return None
        retry_after = answer.headers.get("retry-after")
        self._note(asked, at, time.monotonic() - began, answer.status_code, retry_after, _code(answer))
        return answer

    def _note(self, asked: str, at: float, took: float, status: int | None, after: str | None, detail: str) -> None:
        self._log.answers.append(Answer(asked, at, took, status, after, detail))

    async def _wait(self, answer: httpx.Response | None) -> None:
        asked = 0.2 if answer is None else float(answer.headers.get("retry-after", 0.5))
        await asyncio.sleep(min(asked, _MOST_PATIENCE_S) * self._draw.uniform(0.5, 1.0))


def _without_ids(path: str) -> str:
    parts = [part.partition(":") for part in path.split("/")]
    return "/".join(("…" if _is_id(name) else name) + colon + verb for name, colon, verb in parts)


def _is_id(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(UUID(text))
    return False


def _code(answer: httpx.Response) -> str:
    """Name a refusal as the service does, or show the beginning of what came instead."""
    if answer.status_code < 400:
        return ""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(answer.json()["code"])
    return answer.text[:200]
