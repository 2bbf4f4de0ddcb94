"""The drill's own jobs: submitted as a customer's program would, before, during and after, then questioned."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Self

import httpx

from invoicing.cli.drill_measures import Event, Refusal, Witness
from invoicing.cli.drill_site import Site
from invoicing.cli.wording import moment
from invoicing.kit.ids import new_id

_PATIENCE = httpx.Timeout(30.0, connect=5.0)
_MOST_AT_ONCE = 64
_PROBES_APART_S = 0.5
_AGAIN_AFTER_S = 0.3
_FINISHED = frozenset({"succeeded", "dead", "cancelled"})
_PAGE = 200
_TRIES = 10

PROBE: Mapping[str, Any] = {"seconds": 0}


@dataclass
class _Asked:
    """A witness while it is being made; one thread submits it, the others only read."""

    key: str
    held: bool
    payload: Mapping[str, Any]
    priority: str
    asked_at: float
    accepted_at: float | None = None
    job_id: str | None = None
    refusals: list[Refusal] = field(default_factory=list)


class Witnesses:
    """Submits drills over HTTP, each under one key until it is accepted, however often that fails."""

    def __init__(self, site: Site) -> None:
        """Begin with none, under a reference of their own."""
        self.reference = f"drill-{new_id()}"
        self._http = httpx.Client(
            base_url=site.url,
            headers={"Authorization": f"Bearer {site.customer_key}"},
            timeout=_PATIENCE,
            trust_env=False,
            limits=httpx.Limits(max_connections=2 * _MOST_AT_ONCE),
        )
        self._threads = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="witness")
        self._ended = threading.Event()
        self._asked: list[_Asked] = []
        self._submitting: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._http.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def ask(self, payload: Mapping[str, Any], *, held: bool, priority: str = "normal") -> Future[None]:
        """Begin to submit one; the future ends when it is accepted."""
        key = f"{self.reference}-{len(self._asked) + 1}"
        asked = _Asked(key, held, payload, priority, time.time())
        self._asked.append(asked)
        submitting = self._threads.submit(self._submit, asked)
        self._submitting.append(submitting)
        return submitting

    def probe_until(self, stop: threading.Event) -> None:
        """Ask for next to nothing twice a second: when that is done tells when the service works."""
        while not stop.wait(_PROBES_APART_S):
            self.ask(PROBE, held=False, priority="urgent")

    def held_ids(self) -> frozenset[str]:
        """Name the accepted jobs that are to be there when the fault comes."""
        return frozenset(one.job_id for one in self._asked if one.held and one.job_id is not None)

    def all_ended(self) -> bool:
        """Tell whether all that were asked for were accepted and have ended; False also when nobody answers."""
        if not all(one.done() for one in self._submitting):
            return False
        try:
            states = [job["state"] for job in self._jobs()]
        except (httpx.HTTPError, ValueError):
            return False
        return len(states) >= len(self._asked) and all(state in _FINISHED for state in states)

    def question(self) -> tuple[Sequence[Witness], int | None]:
        """Read every witness's timeline, ask for each once more under its key, and count the ledger's jobs."""
        seen = list(self._threads.map(self._questioned, list(self._asked)))
        try:
            return seen, len(self._jobs())
        except (httpx.HTTPError, ValueError):
            return seen, None

    def _submit(self, asked: _Asked) -> None:
        while not self._ended.is_set():
            answered, refusal = self._try(asked)
            if answered is not None and answered.status_code == httpx.codes.ACCEPTED:
                asked.accepted_at, asked.job_id = time.time(), str(answered.json()["id"])
                return
            if refusal is not None:
                asked.refusals.append(refusal)
            self._ended.wait(_AGAIN_AFTER_S)

    def _try(self, asked: _Asked) -> tuple[httpx.Response | None, Refusal | None]:
        try:
            answered = self._post(asked)
        except httpx.TransportError as error:
            return None, Refusal(time.time(), None, retry_after=False, words=f"not at all ({type(error).__name__})")
        except RuntimeError:  # the client was closed: the drill is over
            return None, None
        if answered.is_success:
            return answered, None
        again = "retry-after" in answered.headers
        words = f"{answered.status_code}{' with Retry-After' if again else ''}"
        return answered, Refusal(time.time(), answered.status_code, again, words)

    def _post(self, asked: _Asked) -> httpx.Response:
        body = {
            "kind": "drill",
            "payload": dict(asked.payload),
            "priority": asked.priority,
            "reference": self.reference,
        }
        return self._http.post("/v1/jobs", json=body, headers={"Idempotency-Key": asked.key})

    def _jobs(self) -> Sequence[dict[str, Any]]:
        """List every job under the drill's reference, which is how a second one would show."""
        found: list[dict[str, Any]] = []
        page: str | None = None
        while True:
            asked = {"reference": self.reference, "page_size": str(_PAGE), **({"page_token": page} if page else {})}
            answered = self._http.get("/v1/jobs", params=asked).raise_for_status().json()
            found += answered["items"]
            page = answered["next_page_token"]
            if page is None:
                return found

    def _questioned(self, asked: _Asked) -> Witness:
        witness = Witness(asked.key, asked.held, asked.asked_at, refusals=tuple(asked.refusals))
        if asked.job_id is None:
            return witness
        path = f"/v1/jobs/{asked.job_id}/events"
        told = self._insist(lambda: self._http.get(path, params={"page_size": _PAGE}))
        events = tuple(
            Event(moment(entry["at"]).timestamp(), entry["event"], entry["attempt"])
            for entry in (told or {"items": ()})["items"]
        )
        again = (self._insist(lambda: self._post(asked)) or {}).get("id")
        return replace(witness, accepted_at=asked.accepted_at, job_id=asked.job_id, events=events, replayed_id=again)

    def _insist(self, ask: Callable[[], httpx.Response]) -> dict[str, Any] | None:
        """Ask until there is an answer, within reason: a service that is not back is for the verdict."""
        for _ in range(_TRIES):
            try:
                told: dict[str, Any] = ask().raise_for_status().json()
            except (httpx.HTTPError, ValueError):
                time.sleep(_AGAIN_AFTER_S)
            else:
                return told
        return None
