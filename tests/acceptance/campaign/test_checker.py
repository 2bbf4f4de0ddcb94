"""The checker itself: it finds nothing where all went well, and each kind of violation where it is planted."""

import ast
import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from .checker import RULES, by_rule, violations
from .observed import NOTHING_CAME, Answer, Arrival, Attempt, Entry, File, Hook, Job, Request, Seen, Series, Sighting
from .state_chart import BIRTH, CHANGES, STAYS

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

HASH = hashlib.sha256(b"issued").hexdigest()
OTHER = hashlib.sha256(b"altered").hexdigest()
NAMES = ("invoice.ubl.xml", "invoice.cii.xml", "invoice.pdf")


def path(*steps: tuple[str, str, int]) -> list[Entry]:
    """Write a timeline from (event, state, attempt)."""
    return [Entry(seq, *step) for seq, step in enumerate([(*BIRTH, 0), *steps], 1)]


STRAIGHT = path(("started", "running", 1), ("progressed", "running", 1), ("succeeded", "succeeded", 1))


def issued(place: int, **other: object) -> Job:
    """Make an invoice that was issued under a number, straight away."""
    number = f"C-{place:06d}"
    files = [File(name, HASH, HASH, HASH, HASH, number if name.endswith("xml") else None) for name in NAMES]
    job = Job(
        id=f"job-{place}",
        customer="north",
        kind="invoice.issue",
        state="succeeded",
        shown="succeeded",
        revision=4,
        attempt=1,
        keys=[f"key-{place}"],
        parts=1,
        timeline=STRAIGHT,
        told=[],
        attempts=[Attempt(1, "succeeded", 1.0, 2.0)],
        files=files,
        number=number,
    )
    return with_path(job, STRAIGHT, **other)


def with_path(job: Job, timeline: Sequence[Entry], **other: object) -> Job:
    """Give a job another timeline, kept and told alike."""
    told = [(entry.seq, entry.event, entry.state) for entry in timeline]
    return replace(job, **({"timeline": timeline, "told": told, "revision": len(timeline)} | other))  # type: ignore[arg-type]  # by name


SECRET = "whsec_" + base64.b64encode(b"secret").decode()


def told(message: str, job: str, event: str = "succeeded", *, accepted: bool = True, **more: object) -> Arrival:
    """Make a message to the webhook that wants everything, signed as it should be."""
    body = json.dumps({"type": f"job.{event}", "data": {"id": job, "state": event, **more}}).encode()
    digest = hmac.new(b"secret", f"{message}.1000.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return Arrival("north-all", 1001.0, message, "1000", signature, body, accepted)


def all_well() -> Seen:
    """Make what is seen after a campaign in which all went well: three invoices of a series."""
    jobs = [issued(place) for place in (1, 2, 3)]
    return Seen(
        requests=[
            Request(f"key-{place}", "north", "invoice.issue", frozenset({"succeeded"}), ids={f"job-{place}"})
            for place in (1, 2, 3)
        ],
        answers=[
            Answer("POST /v1/jobs", 1.0, 0.1, 202),
            Answer("POST /v1/jobs", 1.0, 0.1, 503, "5"),
            Answer("POST /v1/jobs", 1.0, 0.1, None),
            Answer("POST /v1/jobs/…:cancel", 1.0, 0.1, 409),
        ],
        jobs=jobs,
        series=[Series("north", "C", 3, [(f"C-{place:06d}", f"job-{place}", True) for place in (1, 2, 3)])],
        loose={"payload_parts": 0},
        hooks=[
            Hook("north-all", "north", SECRET),
            Hook("north-troubles", "north", SECRET, frozenset({"job.dead"})),
            Hook("south-all", "south", SECRET),
        ],
        arrivals=[
            told("message-1", "job-1"),
            told("message-2", "job-2", accepted=False),
            told("message-3", "job-3"),
            told("message-2", "job-2"),
        ],
    )


def swapped(seen: Seen, **other: object) -> Seen:
    """Change the second job."""
    first, second, third = seen.jobs
    return replace(seen, jobs=[first, replace(second, **other), third])  # type: ignore[arg-type]  # by name


def routed(seen: Seen, *steps: tuple[str, str, int], **other: object) -> Seen:
    """Give the second job another timeline."""
    first, second, third = seen.jobs
    return replace(seen, jobs=[first, with_path(second, path(*steps), **other), third])


def asked(seen: Seen, **other: object) -> Seen:
    """Change the second request."""
    first, second, third = seen.requests
    return replace(seen, requests=[first, replace(second, **other), third])  # type: ignore[arg-type]  # by name


def answered(seen: Seen, status: int, retry_after: str | None) -> Seen:
    """Add an answer."""
    return replace(seen, answers=[*seen.answers, Answer("POST /v1/jobs", 1.0, 0.1, status, retry_after)])


def counted(seen: Seen, last: int) -> Seen:
    """Have the ledger count the series to another number."""
    return replace(seen, series=[Series("north", "C", last, [])])


def came(seen: Seen, *arrivals: Arrival, without: Sequence[str] = ()) -> Seen:
    """Have more arrive at the webhook, and some messages not."""
    return replace(seen, arrivals=[*(one for one in seen.arrivals if one.id not in without), *arrivals])


def bent(seen: Seen, **other: object) -> Seen:
    """Change the first arrival."""
    first, *rest = seen.arrivals
    return replace(seen, arrivals=[replace(first, **other), *rest])  # type: ignore[arg-type]  # by name


def ended_twice(seen: Seen, *arrivals: Arrival) -> Seen:
    """Have the second job die, be tried again by our staff and succeed, and the webhook be told so."""
    steps = [START, ("dead", "dead", 1), ("retried", "queued", 1), AGAIN, ("succeeded", "succeeded", 2)]
    attempts = [Attempt(1, "dead", 1.0, 2.0), Attempt(2, "succeeded", 3.0, 4.0)]
    trouble = replace(told("message-4", "job-2", "dead"), hook="north-troubles")
    return came(routed(seen, *steps, attempt=2, attempts=attempts), trouble, *arrivals, without=["message-2"])


def filed(seen: Seen, **other: object) -> Seen:
    """Change the first file of the second job."""
    first, *rest = seen.jobs[1].files
    return swapped(seen, files=[replace(first, **other), *rest])  # type: ignore[arg-type]  # by name


START, LOST, END = ("started", "running", 1), ("rescued", "queued", 1), ("succeeded", "succeeded", 1)
AGAIN = ("started", "running", 2)

PLANTED: dict[str, tuple[str, Callable[[Seen], Seen]]] = {
    "a job that was accepted is gone": ("lost", lambda seen: asked(seen, ids={"job-2", "job-9"})),
    "a request that was never accepted": ("lost", lambda seen: asked(seen, ids=set())),
    "two answers to a key name two jobs": ("doubled", lambda seen: asked(seen, ids={"job-2", "job-3"})),
    "the ledger has two jobs for a key": ("doubled", lambda seen: swapped(seen, keys=["key-1"])),
    "a job without its key": ("half accepted", lambda seen: swapped(seen, keys=[])),
    "a job without its payload": ("half accepted", lambda seen: swapped(seen, parts=0)),
    "a job for which nobody asked": ("half accepted", lambda seen: swapped(seen, keys=["stranger"])),
    "a payload without its job": ("half accepted", lambda seen: replace(seen, loose={"payload_parts": 1})),
    "a job that does not end": ("unfinished", lambda seen: routed(seen, START, state="running", shown="running")),
    "a job that is told otherwise": ("unfinished", lambda seen: swapped(seen, shown="queued")),
    "a finished job with a lease": ("unfinished", lambda seen: swapped(seen, leased=True)),
    "an attempt without an end": ("unfinished", lambda seen: swapped(seen, attempts=[Attempt(1, None)])),
    "a 202 whose job is not to be found": ("unseen", lambda seen: asked(seen, unseen=1)),
    "a job that jumps": ("illegal path", lambda seen: routed(seen, END)),
    "an attempt that is taken twice": (
        "illegal path",
        lambda seen: routed(seen, START, ("rescued", "queued", 1), START),
    ),
    "a late finisher that settles after the rescue": (
        "illegal path",
        lambda seen: routed(seen, START, LOST, END),
    ),
    "two ends": ("illegal path", lambda seen: routed(seen, START, END, END)),
    "a finished job that runs again": (
        "illegal path",
        lambda seen: routed(seen, START, END, AGAIN),
    ),
    "a timeline with a row twice": (
        "illegal path",
        lambda seen: swapped(seen, timeline=[*STRAIGHT[:2], STRAIGHT[1], *STRAIGHT[2:]]),
    ),
    "a row that is newer than its job": ("illegal path", lambda seen: swapped(seen, revision=3)),
    "a timeline that is told otherwise": ("illegal path", lambda seen: swapped(seen, told=[(1, "accepted", "queued")])),
    "a timeline that ends otherwise than its job": ("illegal path", lambda seen: swapped(seen, state="cancelled")),
    "attempts that are missing": ("illegal path", lambda seen: swapped(seen, attempts=[], attempt=1)),
    "a healthy job that died": (
        "ended otherwise",
        lambda seen: routed(seen, START, ("dead", "dead", 1), state="dead", shown="dead", files=[], number=None),
    ),
    "a job that starts after it was cancelled": (
        "uncancelled",
        lambda seen: asked(
            routed(seen, START, ("cancel_requested", "running", 1), ("parked", "queued", 1), ("started", "running", 2)),
            cancelled=True,
        ),
    ),
    "a number in two invoices": ("number", lambda seen: filed(seen, number="C-000001")),
    "a number left out": ("number", lambda seen: replace(seen, series=[Series("north", "C", 4, [])])),
    "a number that the ledger does not count": (
        "number",
        lambda seen: replace(seen, series=[Series("north", "C", 2, [])]),
    ),
    "two numbers in one invoice": ("misnumbered", lambda seen: filed(seen, number="C-000009")),
    "an invoice without one of its files": ("misnumbered", lambda seen: swapped(seen, files=seen.jobs[1].files[1:])),
    "a number on an invoice that is not issued": ("misnumbered", lambda seen: swapped(seen, state="dead")),
    "bytes that are not those that were issued": ("altered", lambda seen: filed(seen, fetched=OTHER)),
    "a hash that is told otherwise than it is kept": ("altered", lambda seen: filed(seen, shown=OTHER)),
    "a file that never became complete": ("altered", lambda seen: filed(seen, kept=None)),
    "a wrong count of what waits": ("miscounted", lambda seen: replace(seen, counted_waiting=2)),
    "no answer": (
        "hanging",
        lambda seen: replace(seen, answers=[Answer("GET /v1/jobs/…", 1.0, 60.0, None, None, NOTHING_CAME)]),
    ),
    "a numbered invoice that died": (
        "gap",
        lambda seen: replace(
            routed(seen, START, ("dead", "dead", 1), state="dead", shown="dead", files=[], number=None),
            series=[Series("north", "C", 3, [("C-000002", "job-2", False)])],
        ),
    ),
    "an end of which nothing is told": ("untold", lambda seen: came(seen, without=["message-1"])),
    "a message that is never taken": ("untold", lambda seen: bent(seen, accepted=False)),
    "one of two ends that is told": ("untold", lambda seen: ended_twice(seen, told("message-2", "job-2"))),
    "an end under two ids": ("told again", lambda seen: came(seen, told("message-4", "job-1"))),
    "an end that never happened": ("told again", lambda seen: came(seen, told("message-4", "job-1", "dead"))),
    "another customer's job": ("told again", lambda seen: came(seen, replace(told("m", "job-1"), hook="south-all"))),
    "an id that says two things": (
        "told otherwise",
        lambda seen: came(seen, told("message-1", "job-1", attempt=2)),
    ),
    "a signature that does not hold": ("unsigned", lambda seen: bent(seen, signature="v1,bm90IGl0")),
    "a body that was changed on the way": ("unsigned", lambda seen: bent(seen, body=seen.arrivals[0].body + b" ")),
    "a timestamp of long ago": ("unsigned", lambda seen: bent(seen, at=1400.0)),
    "a later end before an earlier one": (
        "disordered",
        lambda seen: ended_twice(seen, told("message-3b", "job-2"), told("message-2", "job-2", "dead")),
    ),
    "a later end while the earlier one is not taken": (
        "disordered",
        lambda seen: ended_twice(seen, told("message-2", "job-2", "dead", accepted=False), told("message-3b", "job-2")),
    ),
    "an internal error": ("rude", lambda seen: answered(seen, 500, None)),
    "no word of when to come again": ("rude", lambda seen: answered(seen, 503, None)),
    "a job that stays unexplained": ("unexplained", lambda seen: seen_as(seen, "unexplained", "unexplained")),
}


def seen_as(seen: Seen, *causes: str) -> Seen:
    """Let a job be seen with one cause after the other, and another one beside it."""
    looks = enumerate(causes)
    return replace(seen, sightings=[Sighting(at, job, cause) for at, cause in looks for job in ("job-1", f"{at}")])


def test_where_all_went_well_nothing_is_found() -> None:
    assert violations(all_well()) == []
    assert violations(seen_as(all_well(), "starting", "unexplained", "lane_saturated", "unexplained")) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(name: str) -> None:
    rule, plant = PLANTED[name]
    assert by_rule(violations(plant(all_well())))[rule] > 0


def test_every_rule_has_a_violation_planted() -> None:
    assert {rule for rule, _ in PLANTED.values()} == set(RULES)


def test_a_job_whose_process_was_killed_at_each_attempt_may_die_of_it() -> None:
    deaths = [Attempt(number, "retrying", 1.0, 2.0, "child_died") for number in (1, 2, 3)]
    steps = [("started", "running", 1), ("retrying", "retrying", 1), ("started", "running", 2)]
    steps += [("retrying", "retrying", 2), ("started", "running", 3), ("dead", "dead", 3)]
    seen = routed(all_well(), *steps, state="dead", shown="dead", attempt=3, attempts=deaths, files=[], number=None)
    assert by_rule(violations(replace(seen, kills=3)))["ended otherwise"] == 0
    assert by_rule(violations(replace(seen, kills=2)))["ended otherwise"] == 1


def test_a_job_whose_worker_was_killed_at_two_attempts_may_be_put_under_quarantine() -> None:
    lost = [Attempt(number, "lost", 1.0, 2.0) for number in (1, 2)]
    steps = [("started", "running", 1), ("rescued", "queued", 1), ("started", "running", 2), ("dead", "dead", 2)]
    seen = routed(all_well(), *steps, state="dead", shown="dead", attempt=2, attempts=lost, files=[], number=None)
    assert by_rule(violations(replace(seen, kills=2)))["ended otherwise"] == 0
    assert by_rule(violations(replace(seen, kills=1)))["ended otherwise"] == 1


def test_what_our_staff_had_tried_again_may_end_again() -> None:
    arrivals = [told("message-2", "job-2", "dead"), told("message-3b", "job-2")]
    assert violations(ended_twice(all_well(), *arrivals)) == []


def test_the_checkers_chart_is_the_documented_one() -> None:
    page = (ROOT / "docs" / "states.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| .*? \| `(\w+)` \|$", page, re.MULTILINE)
    documented = {(before, event, after) for before, after, event in rows if before != "in_review"}
    assert documented == CHANGES
    told = " ".join(page.split())
    assert all(f"`{event}`" in told for events in STAYS.values() for event in events)


@pytest.mark.parametrize("module", ["checker", "told", "state_chart", "observed", "gathering"])
def test_the_checker_knows_none_of_the_services_code(module: str) -> None:
    tree = ast.parse((HERE / f"{module}.py").read_text())
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in imported if name.partition(".")[0] in {"invoicing", "workers"}}
