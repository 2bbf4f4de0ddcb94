"""What it takes to answer "how is my job?" with very many jobs in the ledger, beside a bare read by primary key.

Both are served by the same stack, in processes of their own, and are asked in turns over one connection each, so that a
slow moment of the machine falls on all of them.
"""

import asyncio
import http.client
import random
import time
from dataclasses import dataclass, field
from statistics import quantiles
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
from benchmarks.report import Table
from benchmarks.stored_rows import live_load, store
from benchmarks.surroundings import servers, web

from invoicing.customers import service
from invoicing.customers import store as customers
from invoicing.customers.model import Role
from invoicing.kit.db import make_engine, transaction
from invoicing.kit.listen import plain_url

_TIMES = 2_000
_WARM = 200
_UNLIMITED = {"rate_per_s": 1e6, "burst": 10_000_000}
_JOBS = """
(SELECT id FROM jobs WHERE customer_id = $1 AND state = ANY($2::text[]) ORDER BY id DESC LIMIT 300)
UNION (SELECT id FROM jobs WHERE customer_id = $1 AND state = ANY($2::text[]) ORDER BY id LIMIT 300)
"""
_STATES = {"waiting": ["queued", "retrying"], "running": ["running"], "finished": ["succeeded", "dead", "cancelled"]}


@dataclass
class _Asked:
    """One question, and how long its answers took (seconds)."""

    client: "_Client"
    path: str
    tagged: bool = False
    took: list[float] = field(default_factory=list)


class _Client:
    """One connection that is kept."""

    def __init__(self, url: str, key: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc)
        self._headers = {"Authorization": f"Bearer {key}"}

    def get(self, path: str, tag: str | None = None) -> tuple[float, int, str]:
        """Ask; gives how long the answer took (seconds), its status and its ETag."""
        headers = self._headers if tag is None else {**self._headers, "If-None-Match": tag}
        began = time.perf_counter()
        self._connection.request("GET", path, headers=headers)
        answer = self._connection.getresponse()
        answer.read()
        return time.perf_counter() - began, answer.status, answer.headers.get("ETag", "")


def run(rows: int) -> Table:
    """Fill a ledger, and ask about jobs that wait, run and have ended."""
    with servers() as around:
        key, jobs = asyncio.run(_fill(around.database_url, rows))
        with (
            web("benchmarks.peers.our_accept:app", around) as ours,
            web("benchmarks.peers.bare_read:app", around) as peer,
        ):
            own, bare = _Client(ours, key), _Client(peer, key)
            found = {stage: _ask(own, bare, ids) for stage, ids in jobs.items()}
    table = Table(
        f"Reading a job with {rows:,} finished ones in the ledger, p50 / p99 (ms)",
        ("the job", "bare read", "GET", "why", "304"),
    )
    for stage, asked in found.items():
        table.add(stage, *(f"{1000 * _p(one, 50):.2f} / {1000 * _p(one, 99):.2f}" for one in asked))
    for name, place, most in (("GET", 1, 2.0), ("why", 2, 5.0), ("304", 3, 1.2)):
        for percent in (50, 99):
            ratio = max(_p(asked[place], percent) / _p(asked[0], percent) for asked in found.values())
            table.bar(f"p{percent} of {name} / of a bare read, whatever the job does", ratio, at_most=most)
    return table


def _ask(own: _Client, bare: _Client, ids: list[UUID]) -> list[_Asked]:
    """Ask everything in turns about jobs drawn at random."""
    questions = [_Asked(bare, ""), _Asked(own, ""), _Asked(own, "/why"), _Asked(own, "", tagged=True)]
    draw = random.Random(7)
    for number in range(_WARM + _TIMES):
        path = f"/v1/jobs/{draw.choice(ids)}"
        tag = own.get(path)[2]
        for one in questions:
            took, status, _ = one.client.get(path + one.path, tag if one.tagged else None)
            if status != (304 if one.tagged else 200):
                raise RuntimeError(f"{path}{one.path} was answered {status}")
            if number >= _WARM:
                one.took.append(took)
    return questions


def _p(asked: _Asked, percent: int) -> float:
    return quantiles(asked.took, n=100)[percent - 1]


async def _fill(url: str, rows: int) -> tuple[str, dict[str, list[UUID]]]:
    """Store jobs, and give a key of one of their customers with jobs of each stage."""
    connection = await asyncpg.connect(plain_url(url))
    await live_load(connection)
    await store(connection, rows)
    await connection.execute("VACUUM ANALYZE")
    owner = await connection.fetchval("SELECT customer_id FROM jobs WHERE state = 'running' LIMIT 1")
    await connection.execute(
        "UPDATE workers SET beat_at = now() + interval '1 h', loop_beat_at = now() + interval '1 h'"
    )
    jobs = {
        stage: [row["id"] for row in await connection.fetch(_JOBS, owner, states)] for stage, states in _STATES.items()
    }
    await connection.close()
    engine = make_engine(url)
    async with transaction(engine) as session:
        await customers.set_limits(session, owner, _UNLIMITED)
        key = await service.create_key(session, Role.CUSTOMER, "reader", owner)
    await engine.dispose()
    return key, jobs
