"""The story with an outage on a running service: ops are paged once, and the page closes itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import psutil
import pytest
import yaml

from invoicing.incidents.model.course import HOLD_DOWN
from invoicing.kit.listen import plain_url

from ...integration.outbox.receiver import Receiver, receiving
from ...integration.workers.crew import until
from ..test_up import Started
from .real_alertmanager import Alertmanager, alertmanager

SMALL: dict[str, Any] = {"seconds": 0.1}
LARGE: dict[str, Any] = {"seconds": 6, "chunks": 24, "claimed_seconds": 600}
SHIPPED = Path(__file__).parents[3] / "deploy" / "monitoring" / "alertmanager.yaml"

pytestmark = pytest.mark.timeout(240)


class Service:
    """A running service, as customers and ops ask it."""

    def __init__(self, up: Started) -> None:
        self.up = up
        self._supervisor = psutil.Process(up.process.pid)

    async def get(self, path: str, role: str = "customer") -> Any:
        answer = await asyncio.to_thread(self.up.get, path, role)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def cli(self, *arguments: str) -> str:
        done = await asyncio.to_thread(self.up.run, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def submit(self, payload: dict[str, Any]) -> str:
        headers = {"Authorization": f"Bearer {self.up.keys['customer']}", "Idempotency-Key": str(uuid4())}
        async with httpx.AsyncClient(base_url=self.up.told["url"], headers=headers) as client:
            answer = await client.post("/v1/jobs", json={"kind": "drill", "payload": payload})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def job(self, job_id: str) -> Any:
        return await self.get(f"/v1/jobs/{job_id}")

    async def becomes(self, job_id: str, holds: Callable[[Any], object]) -> Any:
        async def does() -> bool:
            return bool(holds(await self.job(job_id)))

        await until(does, 60)
        return await self.job(job_id)

    async def incidents(self) -> list[Any]:
        found: list[Any] = (await self.get("/v1/incidents", "ops"))["items"]
        return found

    async def stop_all_workers(self) -> None:
        """End the worker, and let nobody start it again."""
        worker = psutil.Process(self.up.pids["worker-1"])
        self._supervisor.suspend()
        worker.terminate()

        async def ended() -> bool:
            return not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE

        await until(ended, 30)

    def start_workers(self) -> None:
        self._supervisor.resume()

    async def stop(self) -> None:
        self._supervisor.resume()
        await asyncio.to_thread(self.up.stop)

    async def half_a_minute_goes_by(self) -> None:
        """Let the hold-down pass of an incident whose cause is gone."""
        connection = await asyncpg.connect(plain_url(self.up.told["database_url"]))
        try:
            await connection.execute("UPDATE incidents SET quiet_since = quiet_since - $1::interval", HOLD_DOWN)
        finally:
            await connection.close()


@asynccontextmanager
async def service(folder: Path, running: Alertmanager) -> AsyncIterator[Service]:
    url = running.url
    up = await asyncio.to_thread(lambda: Started(folder / "home", INVOICING_ALERTMANAGER_URL=url))
    started = Service(up)
    try:
        yield started
    finally:
        await started.stop()


def paging(page: Receiver) -> str:
    """Give the configuration that is shipped, with this page in it and without its patience between two pages."""
    configuration = yaml.safe_load(SHIPPED.read_text())
    for receiver in configuration["receivers"]:
        for hook in receiver["webhook_configs"]:
            hook["url"] = page.url
    configuration["route"]["routes"][0]["group_interval"] = "1s"
    return yaml.safe_dump(configuration)


async def test_all_workers_stop_and_ops_are_paged_once_until_the_page_closes_itself(tmp_path: Path) -> None:
    async with (
        receiving() as page,
        alertmanager(tmp_path / "alertmanager", paging(page)) as running,
        service(tmp_path, running) as told,
    ):
        large = await told.submit(LARGE)
        await told.becomes(large, lambda job: job["progress"] and job["progress"]["done"] >= 1)
        small = await told.submit(SMALL)
        await told.becomes(small, lambda job: job["state"] == "succeeded")
        assert await told.incidents() == []

        await told.stop_all_workers()
        stopped = time.monotonic()

        async def alerted() -> bool:
            return bool(await running.alerts())

        await until(alerted, 60)
        figure = f"{time.monotonic() - stopped:.1f} s"
        print(f"from the end of the last worker to Alertmanager: {figure}")  # noqa: T201 - a figure to reach
        (incident,) = await told.incidents()
        assert (incident["cause"], incident["scope"], incident["severity"]) == ("no_worker", "*", "S1")
        (alert,) = await running.alerts()
        assert alert["labels"]["incident"] == incident["id"]
        named = await told.becomes(large, lambda job: job["incident"] is not None)
        assert (named["incident"]["id"], named["incident"]["estimate"]) == (incident["id"], None)

        await told.cli("incidents", "ack", incident["id"])
        await told.cli("incidents", "estimate", incident["id"], "--until", "30m")
        named = await told.becomes(large, lambda job: job["incident"]["estimate"])
        assert named["incident"]["acknowledged"] is True
        assert [one["state"] for one in await told.incidents()] == ["acknowledged"]
        assert ((await told.job(small))["state"], (await told.job(small))["incident"]) == ("succeeded", None)

        told.start_workers()
        done = await told.becomes(large, lambda job: job["state"] == "succeeded")
        assert done["incident"] is None

        async def quiet() -> bool:
            return (await told.incidents())[0]["quiet_since"] is not None

        await until(quiet, 30)
        await told.half_a_minute_goes_by()
        await page.wait_for(2, within=30)
        assert [(one["cause"], one["state"]) for one in await told.incidents()] == [("no_worker", "resolved")]
        assert await running.alerts() == []
        assert [told_of(got.json) for got in page.got] == [("firing", incident["id"]), ("resolved", incident["id"])]


def told_of(notification: Any) -> tuple[str, str]:
    (alert,) = notification["alerts"]
    return alert["status"], alert["labels"]["incident"]
