"""A running service as those meet it whom it concerns: customers, ops and support, by HTTP, webhook and mail."""

import asyncio
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import psutil

from invoicing.incidents.model.course import HOLD_DOWN
from invoicing.incidents.model.notices import HOLD_OFF, TOLD_AFTER
from invoicing.kit.listen import plain_url

from ...integration.outbox.postbox import Postbox
from ...integration.outbox.receiver import Receiver
from ...integration.workers.crew import until
from ..test_up import Started

SMALL = {"seconds": 0.1}
LARGE = {"seconds": 6, "chunks": 24, "claimed_seconds": 600}
QUICK = {"seconds": 1.5, "chunks": 6, "claimed_seconds": 600}
"""No small job either, whatever is learned of what it claims."""

NOTICES = ["incident.opened", "incident.updated", "incident.resolved"]


def lane_of(job: Any) -> str:
    """Name the lane of a job."""
    return f"{job['lane']['priority']}-{job['lane']['size']}"


class Caller(httpx.AsyncClient):
    """Somebody with a key."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)

    async def read(self, path: str, **query: str) -> Any:
        answer = await self.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ask(self, path: str, body: Any, verb: str = "POST") -> Any:
        answer = await self.request(verb, path, json=body, headers={"Idempotency-Key": str(uuid4())})
        assert answer.is_success, answer.text
        return answer.json()


class Customer(Caller):
    """Somebody whose jobs these are."""

    async def submit(self, payload: dict[str, Any], priority: str = "normal") -> str:
        return str((await self.ask("/v1/jobs", {"kind": "drill", "payload": payload, "priority": priority}))["id"])

    async def job(self, job_id: str) -> Any:
        return await self.read(f"/v1/jobs/{job_id}")

    async def becomes(self, job_id: str, holds: Callable[[Any], object]) -> Any:
        """Wait until a job is as described; gives it as it was told then."""
        seen: list[Any] = []

        async def does() -> bool:
            seen.append(await self.job(job_id))
            return bool(holds(seen[-1]))

        await until(does, 60)
        return seen[-1]

    async def succeeds(self, job_id: str) -> Any:
        return await self.becomes(job_id, lambda job: job["state"] == "succeeded")

    async def reached_by(self, hook: Receiver, letters: "Letters", events: list[str]) -> "Reached":
        """Have a webhook, and a mail address that is confirmed, told of some events."""
        added = await self.ask("/v1/webhooks", {"url": hook.url, "events": events})
        address = f"{uuid4().hex}@shop.example"
        mail = await self.ask("/v1/mails", {"address": address, "language": "en", "events": events})
        (letter,) = await letters.wait_for(address, 1)
        (code,) = re.findall(r"^    ([A-Z0-9]{8})\s*$", letter.text, re.MULTILINE)
        await self.ask(f"/v1/mails/{mail['id']}:confirm", {"code": code})
        return Reached(self, hook, letters, address, (f"webhooks/{added['id']}", f"mails/{mail['id']}"))


@dataclass(frozen=True)
class Letter:
    """A mail as its reader sees it."""

    to: str
    subject: str
    text: str


@dataclass(frozen=True)
class Letters:
    """What a mail server has taken."""

    box: Postbox

    def of(self, address: str) -> list[Letter]:
        """List the mails to an address, in order."""
        taken = zip(self.box.to, self.box.letters, strict=True)
        return [
            Letter(to, str(one["Subject"]), one.get_content().replace("\r\n", "\n"))
            for to, one in taken
            if to == address
        ]

    async def wait_for(self, address: str, count: int) -> list[Letter]:
        async def came() -> bool:
            return len(self.of(address)) >= count

        await until(came, 30)
        return self.of(address)


@dataclass(frozen=True)
class Reached:
    """A customer and what reached them unasked."""

    customer: Customer
    hook: Receiver
    letters: Letters
    address: str
    paths: tuple[str, ...]

    def mails(self) -> list[Letter]:
        """List the mails, without the one that asked whether there may be any."""
        return self.letters.of(self.address)[1:]

    def calls(self) -> list[Any]:
        """List what the webhook was told."""
        return [got.json for got in self.hook.got]

    async def told(self, count: int) -> list[Any]:
        """Wait until so many messages came by webhook and by mail; gives those of the webhook."""
        await self.hook.wait_for(count, within=40)
        await self.letters.wait_for(self.address, count + 1)
        assert (len(self.calls()), len(self.mails())) == (count, count)
        return self.calls()

    async def written(self) -> list[str]:
        """Name what was written for them, whether it has arrived or not."""
        lists = [(await self.customer.read(f"/v1/{path}/deliveries"))["items"] for path in self.paths]
        return [one["type"] for items in lists for one in items if one["type"] != "mail.confirm"]


class Service:
    """A running service."""

    def __init__(self, up: Started) -> None:
        self.up = up
        self.url = up.told["url"]
        self.acme = Customer(self.url, up.keys["customer"])
        self.ops = Caller(self.url, up.keys["ops"])
        self.admin = Caller(self.url, up.keys["admin"])
        self._others: list[Customer] = []
        self._supervisor = psutil.Process(up.process.pid)

    async def another(self) -> Customer:
        """Add a customer."""
        slug = f"shop-{uuid4().hex[:8]}"
        await self.admin.ask("/v1/admin/customers", {"slug": slug, "name": "Another shop"})
        key = await self.admin.ask("/v1/admin/keys", {"role": "customer", "label": "shop", "customer": slug})
        self._others.append(Customer(self.url, key["key"]))
        return self._others[-1]

    async def incidents(self, **query: str) -> list[Any]:
        found: list[Any] = (await self.ops.read("/v1/incidents", **query))["items"]
        return found

    async def incident(self, holds: Callable[[Any], object], **query: str) -> Any:
        """Wait until an incident is as described; there is one alone that is asked for."""
        seen: list[Any] = []

        async def does() -> bool:
            seen[:] = await self.incidents(**query)
            return bool(seen) and bool(holds(seen[0]))

        await until(does, 60)
        (one,) = seen
        return one

    @asynccontextmanager
    async def small_hands(self) -> AsyncIterator[None]:
        """Have a worker for small jobs alone, beside the one for all."""
        program = Path(__file__).with_name("small_hands.py")
        servers = self.up.told["database_url"], self.up.told["redis_url"]
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, program, *servers), stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await self._serves(lambda: worker.pid)
            yield
        finally:
            worker.terminate()
            await asyncio.wait_for(worker.wait(), 30)

    @asynccontextmanager
    async def worker_for_all_gone(self) -> AsyncIterator[None]:
        """End the worker for all lanes; nobody starts it again until the block ends."""
        before = self.up.pids["worker-1"]
        self._supervisor.suspend()
        try:
            await self._ends(psutil.Process(before))
            yield
        finally:
            self._supervisor.resume()
        await self._serves(lambda: self.up.pids.get("worker-1", before), but=before)

    async def _ends(self, worker: psutil.Process) -> None:
        worker.terminate()

        async def ended() -> bool:
            return not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE

        await until(ended, 30)

    async def _serves(self, pid: Callable[[], int], but: int | None = None) -> None:
        """Wait until a worker is known, other than one before it."""
        known = "SELECT count(*) FROM workers WHERE pid = $1 AND NOT stopping"

        async def serves() -> bool:
            return pid() != but and bool(await self._do(known, pid()))

        await until(serves, 60)

    async def goes_by(self, **columns: timedelta) -> None:
        """Let time pass as far as some columns know, each named by its table and itself."""
        for name, passed in columns.items():
            table, _, column = name.partition("__")
            await self._do(f"UPDATE {table} SET {column} = {column} - $1::interval", passed)

    async def lasts(self) -> None:
        """Let the time pass for which an incident must have lasted before customers are told."""
        await self.goes_by(incidents__opened_at=TOLD_AFTER)

    async def estimates_may_move(self) -> None:
        """Let the time pass that lies at least between two messages about an estimate."""
        await self.goes_by(incident_notices__told_at=HOLD_OFF)

    async def holds_down(self) -> None:
        """Let the time pass for which a cause must be gone."""
        await self.goes_by(incidents__quiet_since=HOLD_DOWN)

    async def _do(self, statement: str, *values: Any) -> Any:
        connection = await asyncpg.connect(plain_url(self.up.told["database_url"]))
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()

    async def stop(self) -> None:
        for client in (self.acme, self.ops, self.admin, *self._others):
            await client.aclose()
        self._supervisor.resume()
        await asyncio.to_thread(self.up.stop)


@asynccontextmanager
async def service(folder: Path, box: Postbox, **settings: str) -> AsyncIterator[Service]:
    """Have one run that mails by a server of the test's, may tell receivers on this machine, and is asked by links."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    settings |= {
        "INVOICING_EGRESS_ALLOW": "127.0.0.0/8",
        "INVOICING_SMTP_URL": f"smtp://127.0.0.1:{box.port}",
        "INVOICING_MAIL_FROM": "Invoices <invoices@example.com>",
        "INVOICING_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    up = await asyncio.to_thread(lambda: Started(folder / "home", "--port", port, **settings))
    started = Service(up)
    try:
        yield started
    finally:
        await started.stop()
