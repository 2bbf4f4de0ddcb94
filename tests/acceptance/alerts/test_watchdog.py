"""The watchdog as it is started, with nothing but its environment."""

import asyncio
import os
import sys
import time
from functools import partial
from pathlib import Path

from invoicing.alerts import service as alerts

from ...integration.alerts.desk import Desk, alert
from ...integration.workers.crew import until
from .real_alertmanager import Alertmanager, alertmanager

CODE = "from workers.main import watchdog; from invoicing.settings import read; watchdog(read())"


async def test_an_incident_is_in_the_alertmanager_of_the_environment_seconds_later(
    desk: Desk, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with alertmanager(tmp_path) as running:
        settings = {
            "INVOICING_DATABASE_URL": database_url,
            "INVOICING_REDIS_URL": redis_url,
            "INVOICING_ALERTMANAGER_URL": f"{running.url}/",
            "INVOICING_PUBLIC_URL": "https://invoicing.example.com",
        }
        watchdog = await asyncio.create_subprocess_exec(sys.executable, "-c", CODE, env=os.environ | settings)
        try:

            async def set_up() -> bool:
                async with desk.engine.connect() as session:
                    return [one.target for one in await alerts.all_channels(session)] == [running.url]

            await until(set_up)
            said, took = alert(), []
            for one in (said, *(alert() for _ in range(9))):
                began = time.monotonic()
                await desk.say(one)
                await until(partial(stands, running, str(one.incident_id)))
                took.append(time.monotonic() - began)
            figures = f"{sorted(took)[5]:.3f} s half of 10, {max(took):.3f} s the longest"
            print(f"from the commit to Alertmanager: {figures}")  # noqa: T201 - a figure to reach
            link = (await running.alerts(filter=f'incident="{said.incident_id}"'))[0]["generatorURL"]
            assert link == f"https://invoicing.example.com/v1/incidents/{said.incident_id}"
        finally:
            watchdog.terminate()
            await watchdog.wait()


async def stands(running: Alertmanager, incident: str) -> bool:
    return bool(await running.alerts(filter=f'incident="{incident}"'))
