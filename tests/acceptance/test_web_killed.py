"""The web process killed at any instant: no 202 without its job, no key with two jobs, and a repeat gives the same."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from invoicing.customers import service as customers
from invoicing.customers.model import Role
from invoicing.kit.db import make_engine, transaction

KILLS = 60
CLIENTS = 6


# Imports once, then forks a web process for each line it is sent: what is killed is a process like any other, only its
# start takes 0.1 s instead of 2.
PARENT = """
import os, signal, sys
from invoicing.app import load_kinds
from invoicing.app.web import serve
from invoicing.settings import read
load_kinds(drills=True)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        serve(read())
        os._exit(0)
    print(child, flush=True)
"""


@dataclass
class Web:
    """The web process, killed and started again on the same port."""

    url: str
    database_url: str
    key: str
    parent: asyncio.subprocess.Process
    child: int = 0
    answered: dict[str, set[str]] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)

    async def start(self, client: httpx.AsyncClient) -> None:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.write(b"start\n")
        self.child = int(await self.parent.stdout.readline())
        async with asyncio.timeout(60):
            while not await self._ready(client):  # noqa: ASYNC110 - another process tells us no other way
                await asyncio.sleep(0.01)

    def kill(self) -> None:
        os.kill(self.child, signal.SIGKILL)
        self.child = 0

    async def _ready(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"{self.url}/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    async def submit(self, client: httpx.AsyncClient, key: str) -> None:
        """Submit under a key; what was answered is written down, a lost connection is nothing answered."""
        self.sent.add(key)
        body = {"kind": "drill", "payload": {"seconds": 1}, "reference": key}
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": key}
        try:
            answer = await client.post(f"{self.url}/v1/jobs", json=body, headers=headers)
        except httpx.TransportError:
            return
        assert answer.status_code == 202, answer.text
        self.answered.setdefault(key, set()).add(answer.json()["id"])


@pytest.fixture
async def web(database_url: str) -> AsyncIterator[Web]:
    engine = make_engine(database_url)
    async with transaction(engine) as session:
        acme = await customers.add_customer(session, "acme", "Acme", 1e6, 1_000_000)
        key = await customers.create_key(session, Role.CUSTOMER, "acme", acme.id)
    await engine.dispose()
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = os.environ | {
        "INVOICING_DATABASE_URL": database_url,
        "INVOICING_DRILLS": "1",
        "INVOICING_PORT": str(port),
    }
    pipe = asyncio.subprocess.PIPE
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, env=environment, stdin=pipe, stdout=pipe
    )
    web = Web(f"http://127.0.0.1:{port}", database_url, key, parent)
    yield web
    if web.child:
        web.kill()
    assert parent.stdin is not None
    parent.stdin.close()
    await parent.wait()


async def _hammer(web: Web, client: httpx.AsyncClient, seed: int, stop: asyncio.Event) -> None:
    """Submit without a pause: mostly new requests, sometimes one of before, as a client does that got no answer."""
    chance = random.Random(seed)
    keys: list[str] = []
    while not stop.is_set():
        if keys and chance.random() < 0.3:
            key = chance.choice(keys[-5:])
        else:
            keys.append(key := uuid4().hex)
        await web.submit(client, key)


async def test_no_kill_loses_an_accepted_job_or_makes_two(web: Web) -> None:
    chance = random.Random(7)
    async with AsyncExitStack() as stack:
        # a connection each: an answer never waits for another's
        clients = [await stack.enter_async_context(httpx.AsyncClient(timeout=10)) for _ in range(CLIENTS)]
        for round_ in range(KILLS):
            await web.start(clients[0])
            await web.submit(clients[0], uuid4().hex)  # connections are open now: the kill meets requests under way
            stop = asyncio.Event()
            at_work = [
                asyncio.create_task(_hammer(web, client, round_ * CLIENTS + number, stop))
                for number, client in enumerate(clients)
            ]
            await asyncio.sleep(chance.uniform(0.0, 0.15))
            web.kill()
            stop.set()
            await asyncio.gather(*at_work)

    jobs = await _jobs_by_key(web.database_url)
    lost = {key: ids for key, ids in web.answered.items() if ids != jobs.get(key)}
    assert lost == {}
    assert [key for key, ids in jobs.items() if len(ids) != 1] == []
    unanswered = [key for key in jobs if key not in web.answered]
    assert len(web.answered) > KILLS, "too few were accepted to prove anything"
    assert unanswered, "no kill fell between commit and answer: nothing was proved"

    async with httpx.AsyncClient(timeout=30) as client:
        await web.start(client)
        for key in [*unanswered, *sorted(web.sent)[:200]]:
            await web.submit(client, key)
    again = await _jobs_by_key(web.database_url)
    assert {key: again[key] for key in jobs} == jobs
    assert {key: ids for key, ids in web.answered.items() if ids != again[key]} == {}


async def _jobs_by_key(database_url: str) -> dict[str, set[str]]:
    """Give, per idempotency key, the jobs that carry it as their reference, each of them whole."""
    connection: Any = await asyncpg.connect(database_url)
    rows = await connection.fetch(
        "SELECT j.id, j.reference, k.job_id, p.job_id AS payload, t.job_id AS told FROM jobs j"
        " LEFT JOIN idempotency_keys k ON k.key = j.reference LEFT JOIN payload_parts p ON p.job_id = j.id"
        " LEFT JOIN timeline t ON t.job_id = j.id"
    )
    await connection.close()
    found: dict[str, set[str]] = {}
    for row in rows:
        assert row["id"] == row["job_id"] == row["payload"] == row["told"]
        found.setdefault(row["reference"], set()).add(str(row["id"]))
    return found
