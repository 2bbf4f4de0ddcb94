"""Somebody who asks a running service about jobs, as a program and as a person, and holds the answers against it."""

import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from typer.testing import CliRunner

from invoicing.cli.command import build

from .test_drill import until

STANDING = ("is queued", "is running", "is in review", "waits to be tried again")
"""How a job stands, in the first line of what a person reads."""

LONGEST_S = 60.0

_keys = itertools.count()


@dataclass
class Customer:
    """Somebody who asks for work, and asks about it: a program with a key, and a person at a terminal."""

    home: Path
    http: httpx.Client
    staff: Mapping[str, httpx.Client]
    asked: list[str] = field(default_factory=list)

    def submit(self, payload: Mapping[str, Any], kind: str = "drill") -> str:
        body = {"kind": kind, "payload": payload}
        answer = self.http.post("/v1/jobs", json=body, headers={"Idempotency-Key": f"story-{next(_keys)}"})
        assert answer.status_code == 202, answer.text
        self.asked.append(answer.json()["id"])
        return self.asked[-1]

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def becomes(self, job_id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until a job is as described; gives it as it was told then."""
        seen: list[dict[str, Any]] = []

        def does() -> bool:
            seen.append(self.job(job_id))
            return holds(seen[-1])

        until(does, LONGEST_S, lambda: json.dumps(seen[-1], indent=1))
        return seen[-1]

    def caused(self, job_id: str, code: str) -> dict[str, Any]:
        return self.becomes(job_id, lambda job: bool(job["cause"]) and job["cause"]["code"] == code)

    def cancel(self, job_id: str) -> None:
        assert self.http.post(f"/v1/jobs/{job_id}:cancel").is_success

    def ended(self, job_id: str, state: str) -> dict[str, Any]:
        return self.becomes(job_id, lambda job: job["state"] == state)

    def why(self, job_id: str) -> str:
        """Ask as a person does."""
        done = CliRunner().invoke(build(("why",)), ["why", job_id, "--home", str(self.home)])
        assert done.exit_code == 0, done.output
        return done.output


@contextmanager
def watched(customer: Customer) -> Iterator[None]:
    """Look at all unfinished jobs again and again; none may stay unexplained for longer than a look at the lanes."""
    over, found = threading.Event(), Counter[str]()

    def look() -> None:
        before: set[str] = set()
        states = "in_review,queued,running,retrying"
        while not over.wait(1.2):
            answer = customer.http.get("/v1/jobs", params={"state": states, "page_size": 200})
            if not answer.is_success:
                continue
            causes = {job["id"]: job["cause"]["code"] for job in answer.json()["items"]}
            found.update(causes.values())
            unexplained = {job_id for job_id, code in causes.items() if code == "unexplained"}
            found["unexplained twice"] += len(unexplained & before)
            before = unexplained

    watching = threading.Thread(target=look)
    watching.start()
    yield
    over.set()
    watching.join()
    assert found["unexplained twice"] == 0, found
    assert found.total() > found["unexplained"], "nothing was seen"


def answered(customer: Customer, job: Mapping[str, Any], *said: str) -> str:
    """Hold an answer against the three questions, as a program reads it and as a person does."""
    cause = job["cause"]
    asked_at = datetime.fromisoformat(cause["observed_at"])
    assert asked_at < datetime.fromisoformat(cause["next_update_by"]) <= asked_at + timedelta(hours=2)
    assert job["normal"]["verdict"] in {"normal", "slow", "unknown"}
    assert (job["normal"]["p50_s"] is None) == (job["normal"]["verdict"] == "unknown")
    assert job["promise"]["due"] > job["submitted_at"]
    text = customer.why(job["id"])
    lines = text.splitlines()
    assert any(word in lines[0] for word in STANDING), text
    assert any("ormal for its kind and size" in line for line in lines), text
    for begin in ("You hear of it again by", "Promised by", "Next: ", "Who can act: "):
        assert any(line.startswith(begin) for line in lines), (begin, text)
    for words in said:
        assert words in text, (words, text)
    return text
