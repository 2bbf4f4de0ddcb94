"""The story of the cloud vendor on a running service: a large job, a small one, and each thing that may be the matter.

Whatever it is, the customer's three questions get a definite answer: is it under way, is so long normal, when will I
hear? Asked by a program (the API) and by a person (`invoicing why`), who must be able to say what to do.
"""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from redis import Redis

from invoicing.cli import drill_breaks, drill_site
from invoicing.cli.drill_site import Site

from . import holds
from .asking import LONGEST_S, Customer, answered, watched
from .counterpart import Counterpart, serving
from .test_drill import COMMAND, environment, until

SMALL: Mapping[str, Any] = {"seconds": 0.2}
LARGE: Mapping[str, Any] = {"seconds": 600, "chunks": 1200}

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def counterpart() -> Iterator[Counterpart]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, counterpart: Counterpart) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("story") / "home"
    output = home.with_suffix(".out")
    with output.open("wb") as file:
        up = subprocess.Popen(
            [*COMMAND, "up", "--port", "0", "--drills"],
            env={**environment(home), "INVOICING_DRILL_URL": counterpart.url},
            stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        until((home / "run.json").exists, 120, output.read_text)
        yield home
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(90) == 0, output.read_text()


@pytest.fixture(scope="module")
def site(home: Path) -> Site:
    return drill_site.find(home)


@pytest.fixture(scope="module")
def customer(home: Path, site: Site) -> Iterator[Customer]:
    """Give a customer of whose small jobs some have ended, so that it is known what is normal."""
    keys = json.loads((home / "dev-keys.json").read_text())
    clients = {
        role: httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        for role, key in keys.items()
    }
    customer = Customer(home, clients["customer"], clients)
    for job_id in [customer.submit(SMALL) for _ in range(4)]:
        customer.ended(job_id, "succeeded")
    with watched(customer):
        yield customer
    for client in clients.values():
        client.close()


def test_sheer_size_is_under_way_and_says_how_far_it_is_while_a_small_job_passes_it(customer: Customer) -> None:
    large, small = customer.submit(LARGE), customer.submit(SMALL)
    assert customer.ended(small, "succeeded")["attempt"] == 1
    job = customer.becomes(large, lambda job: bool(job["progress"]) and job["state"] == "running")
    assert job["lane"]["size"] != "small"
    assert job["cause"]["code"] == "running_normally"
    answered(customer, job, "is running", "of 1,200 chunks", "Your job is being worked on", "Nobody needs to act")
    customer.cancel(large)
    customer.ended(large, "cancelled")


def test_a_mis_sized_job_leaves_the_lane_of_small_ones_and_says_so(customer: Customer) -> None:
    liar = customer.submit({"seconds": 60, "chunks": 600, "claimed_seconds": 0.1})
    job = customer.becomes(liar, lambda job: job["lane"]["size"] != "small" and job["state"] == "running")
    assert customer.ended(customer.submit(SMALL), "succeeded")
    events = [one["event"] for one in customer.http.get(f"/v1/jobs/{liar}/events").json()["items"]]
    assert "reclassed" in events
    answered(customer, job, "is running", "Your job")
    customer.cancel(liar)
    customer.ended(liar, "cancelled")


def test_at_the_customers_own_limit_it_reads_which_of_its_jobs_to_cancel(customer: Customer) -> None:
    with limited(customer, 1):
        first = customer.submit(LARGE)
        customer.becomes(first, lambda job: job["state"] == "running")
        job = held_back(customer)
        assert job["cause"]["evidence"]["jobs"] == [first]
        answered(customer, job, "One of your jobs may run at a time, and one does", "You: cancel a job", first)
        customer.cancel(first)
        assert customer.ended(job["id"], "succeeded")


@contextmanager
def limited(customer: Customer, most: int) -> Iterator[None]:
    """Let no more jobs of the customer run at a time while the block runs."""
    slug = customer.job(customer.asked[0])["customer"]

    def limit(most: int | None) -> None:
        body = {"customer": slug, "max_running": most, "reason": "a rehearsal"}
        customer.staff["admin"].post("/v1/admin/limits", json=body).raise_for_status()

    limit(most)
    try:
        yield
    finally:
        limit(None)


def held_back(customer: Customer) -> dict[str, Any]:
    """Submit small jobs until one is held back for good: a limit is in force within a second."""

    def over_or_held(job: dict[str, Any]) -> bool:
        return job["state"] == "succeeded" or (job["cause"]["code"] == "customer_limit" and held_s(job) > 1)

    while True:
        job = customer.becomes(customer.submit(SMALL), over_or_held)
        if job["state"] != "succeeded":
            return job


def held_s(job: Mapping[str, Any]) -> float:
    """Say for how long its cause holds."""
    observed, since = (datetime.fromisoformat(job["cause"][name]) for name in ("observed_at", "since"))
    return (observed - since).total_seconds()


def test_a_full_lane_says_what_is_ahead_and_that_support_may_help(customer: Customer) -> None:
    payload = {"seconds": 600, "chunks": 6000, "claimed_seconds": 600}
    busy = [customer.submit(payload) for _ in range(4)]
    job = next(filter(None, _saturated(customer, busy)))
    answered(customer, job, "tell our support: they may put it before others")
    for job_id in busy:
        customer.cancel(job_id)
    for job_id in busy:
        customer.ended(job_id, "cancelled")


def _saturated(customer: Customer, jobs: list[str]) -> Iterator[dict[str, Any] | None]:
    ends = time.monotonic() + LONGEST_S
    while time.monotonic() < ends:
        for job_id in jobs:
            job = customer.job(job_id)
            yield job if job["cause"]["code"] == "lane_saturated" and held_s(job) > 1 else None
    raise AssertionError(f"none of {len(jobs)} jobs waits for others")


def test_a_dead_worker_is_told_then_that_there_is_none_and_it_goes_on_by_itself(customer: Customer, site: Site) -> None:
    job_id = customer.submit({"seconds": 2, "chunks": 20})
    customer.becomes(job_id, lambda job: job["state"] == "running" and bool(job["progress"]))
    with drill_breaks.stopped(site, site.one("worker"), with_family=True):
        lost = customer.caused(job_id, "worker_lost")
        assert lost["cause"]["message"].startswith("We lost contact with the worker that had your job.")
        assert lost["cause"]["next_update_by"] > lost["cause"]["observed_at"]
        job = customer.caused(job_id, "no_worker")
        answered(customer, job, "is queued", "starts as soon as one is back", "Our operations team brings workers back")
        german = customer.http.get(f"/v1/jobs/{job_id}", headers={"Accept-Language": "de"}).json()
        assert german["cause"]["message"] != job["cause"]["message"]
    done = customer.ended(job_id, "succeeded")
    assert done["attempt"] == 2


def test_what_was_lost_from_redis_is_told_and_mended_by_itself(customer: Customer, site: Site) -> None:
    with drill_breaks.stopped(site, site.one("watchdog"), with_family=True):
        worker = site.one("worker").pid
        os.kill(worker, signal.SIGSTOP)
        try:
            job_id = customer.submit(SMALL)
            until(lambda: asyncio.run(_is_released(site, job_id)), LONGEST_S)
            with Redis.from_url(site.told["redis_url"]) as redis:
                redis.flushall()
        finally:
            os.kill(worker, signal.SIGCONT)
        job = customer.caused(job_id, "undelivered")
        answered(customer, job, "is queued", "It is being delivered again", "the service mends this by itself")
    assert customer.ended(job_id, "succeeded")


def test_while_nobody_hands_jobs_out_that_is_told_and_since_when(customer: Customer, site: Site) -> None:
    with drill_breaks.stopped(site, site.one("dispatcher"), with_family=True):
        job_id = customer.submit(SMALL)
        job = customer.caused(job_id, "undelivered")
        answered(customer, job, "is queued", "no jobs have been handed out since", "the service mends this by itself")
    assert customer.ended(job_id, "succeeded")


async def _is_released(site: Site, job_id: str) -> bool:
    """Tell whether a job is on its way to a worker."""
    connection = await asyncpg.connect(str(site.told["database_url"]).replace("+asyncpg", ""))
    try:
        return bool(await connection.fetchval("SELECT released_at IS NOT NULL FROM jobs WHERE id = $1", job_id))
    finally:
        await connection.close()


def test_what_a_job_needs_from_outside_is_down_and_it_keeps_its_attempts_and_goes_on_by_itself(
    customer: Customer, counterpart: Counterpart
) -> None:
    call = {"seconds": 0.1, "mode": "call"}
    assert customer.ended(customer.submit(call), "succeeded")
    counterpart.status = 503
    needing = [customer.submit(call) for _ in range(3)]
    job = customer.caused(needing[-1], "dependency_down")
    needing.append(customer.submit(call))
    assert customer.ended(customer.submit(SMALL), "succeeded")["attempt"] == 1, "it needs nothing, and passes them"
    answered(customer, job, "does not answer: the drill's counterpart", "Those who run it", "goes on by itself")
    german = customer.http.get(f"/v1/jobs/{needing[-1]}", headers={"Accept-Language": "de"}).json()
    assert "antwortet nicht: the drill's counterpart" in german["cause"]["message"]
    assert german["attempt"] <= 1, "it came while that was down: one at a time tries, which may have been this one"
    told = customer.becomes(needing[-1], lambda job: bool(job["incident"]))
    assert told["incident"]["title"] == "Something outside that jobs of this kind need does not work at the moment."
    tried = customer.becomes(needing[0], lambda job: job["cause"]["evidence"].get("tries", 0) > 1)
    assert (tried["state"], tried["eta"]) == ("retrying", None), "nobody knows when it is back"
    counterpart.status = 200
    for job_id in needing:
        customer.ended(job_id, "succeeded")
    account = customer.http.get(f"/v1/jobs/{needing[0]}/why").json()["account"]
    assert account["totals"]["dependency_down"] > 1
    assert "unexplained" not in account["totals"]


def test_a_paused_lane_is_a_reason_with_an_end_and_the_end_is_kept(customer: Customer) -> None:
    lane = "normal-small"
    until_ = (datetime.now().astimezone() + timedelta(seconds=3)).isoformat()
    body = {"until": until_, "reason": "We move the archive."}
    assert customer.staff["ops"].post(f"/v1/lanes/{lane}:pause", json=body).is_success
    job_id = customer.submit(SMALL)
    job = customer.caused(job_id, "paused")
    answered(customer, job, "is queued", "We move the archive.", "the queue goes on by itself")
    customer.ended(job_id, "succeeded")
    updates = customer.http.get("/v1/promises").json()["total"]["updates"]
    assert updates["kept"] > 0, "what was told while all that was broken"


def test_what_a_person_looks_at_first_says_why_and_until_when_and_how_that_ended(customer: Customer) -> None:
    holds.reviewed(customer, answered)


def test_beyond_the_quota_it_reads_when_that_begins_anew_and_a_larger_one_lets_it_run(customer: Customer) -> None:
    holds.beyond_the_quota(customer, answered)
