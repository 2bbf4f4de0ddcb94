"""The story with an outage on a running service: whoever it touches is told unasked, and ops are paged once."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ...integration.outbox.postbox import mailing
from ...integration.outbox.receiver import Receiver, receiving, status
from ...integration.workers.crew import until
from .real_alertmanager import Alertmanager, alertmanager
from .running import LARGE, NOTICES, SMALL, Letters, lane_of, service

SHIPPED = Path(__file__).parents[3] / "deploy" / "monitoring" / "alertmanager.yaml"

pytestmark = pytest.mark.timeout(240)


def paging(page: Receiver) -> str:
    """Give the configuration that is shipped, with this page in it and without its patience between two pages."""
    configuration = yaml.safe_load(SHIPPED.read_text())
    for receiver in configuration["receivers"]:
        for hook in receiver["webhook_configs"]:
            hook["url"] = page.url
    configuration["route"]["routes"][0]["group_interval"] = "1s"
    return yaml.safe_dump(configuration)


async def test_an_outage_pages_ops_once_and_tells_whom_it_touches_what_becomes_of_their_jobs(tmp_path: Path) -> None:
    async with (
        receiving() as page,
        receiving(status(202)) as pagerduty,
        receiving() as hook,
        receiving() as others_hook,
        mailing() as box,
        alertmanager(tmp_path / "alertmanager", paging(page)) as running,
        service(tmp_path, box, INVOICING_ALERTMANAGER_URL=running.url) as told,
        told.small_hands(),
    ):
        acme, other, letters = told.acme, await told.another(), Letters(box)
        reached = await acme.reached_by(hook, letters, NOTICES)
        unconcerned = await other.reached_by(others_hook, letters, NOTICES)
        await told.ops.ask(
            "/v1/channels",
            {
                "name": "night shift", "kind": "pagerduty", "least_severity": "S2", "routing_key": "R" * 32,
                "url": pagerduty.url,
            },
        )  # fmt: skip
        large = await acme.submit(LARGE)
        before = await acme.becomes(large, lambda job: job["progress"] and job["progress"]["done"] >= 1)
        assert await told.incidents() == []

        async with told.worker_for_all_gone():
            began = time.monotonic()
            incident = await told.incident(lambda _: True)
            figure = f"{time.monotonic() - began:.1f} s"
            print(f"from the end of the last worker to the incident: {figure}")  # noqa: T201 - a figure to reach
            lane = f"lane:{lane_of(before)}"
            assert (incident["cause"], incident["scope"], incident["severity"]) == ("no_worker", lane, "S2")
            await stands_alone(running, incident["id"])
            named = await acme.becomes(large, lambda job: job["incident"] is not None)
            assert (named["incident"]["id"], named["incident"]["estimate"]) == (incident["id"], None)

            await told.lasts()
            (opened,) = await reached.told(1)
            assert (opened["type"], opened["data"]["jobs"]["touched"]) == ("incident.opened", 1)
            assert opened["data"]["id"] == incident["id"]

            at = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
            await told.ops.ask(f"/v1/incidents/{incident['id']}:acknowledge", {})
            await told.ops.ask(f"/v1/incidents/{incident['id']}:estimate", {"at": at, "text": "The rack is dark."})
            named = await acme.becomes(large, lambda job: job["incident"]["estimate"])
            assert (named["incident"]["estimate"][:19], named["incident"]["acknowledged"]) == (at[:19], True)
            await told.estimates_may_move()
            (_, updated) = await reached.told(2)
            assert (updated["type"], updated["data"]["estimate"][:19]) == ("incident.updated", at[:19])

            for customer in (acme, other):  # small work goes on
                done = await customer.succeeds(await customer.submit(SMALL))
                assert (done["attempt"], done["incident"]) == (1, None)
            assert [one["id"] for one in await told.incidents()] == [incident["id"]]

        done = await acme.succeeds(large)
        assert (done["incident"], done["progress"]["done"]) == (None, 24)
        await told.incident(lambda one: one["quiet_since"])
        await told.holds_down()
        (*_, resolved) = await reached.told(3)
        assert resolved["type"] == "incident.resolved"
        assert resolved["data"]["outcome"] == {
            "touched": 1, "succeeded": 1, "failed": 0, "cancelled": 0, "running": 0, "waiting": 0, "at_least": False,
        }  # fmt: skip
        assert [letter.subject for letter in reached.mails()] == [
            "A disruption touches your jobs",
            "News of the disruption that touches your jobs",
            "The disruption is over",
        ]
        assert "Of your jobs it touched 1. Done: 1, failed: 0" in reached.mails()[-1].text
        assert await unconcerned.written() == []

        await was_paged_once(page, pagerduty, incident["id"])
        assert [(one["cause"], one["state"]) for one in await told.incidents()] == [("no_worker", "resolved")]
        assert await running.alerts() == []


async def stands_alone(running: Alertmanager, incident_id: str) -> None:
    """Wait until an incident is in Alertmanager; nothing else is."""

    async def stands() -> bool:
        return bool(await running.alerts())

    await until(stands, 20)
    (alert,) = await running.alerts()
    assert alert["labels"]["incident"] == incident_id


async def was_paged_once(page: Receiver, pagerduty: Receiver, incident_id: str) -> None:
    """Wait until the page has closed itself, behind Alertmanager and at PagerDuty."""
    await page.wait_for(2, within=30)
    await pagerduty.wait_for(4, within=30)
    assert [told_of(got.json) for got in page.got] == [("firing", incident_id), ("resolved", incident_id)]
    assert [(got.json["event_action"], got.json["dedup_key"]) for got in pagerduty.got] == [
        (action, incident_id) for action in ("trigger", "acknowledge", "acknowledge", "resolve")
    ]


def told_of(notification: Any) -> tuple[str, str]:
    (alert,) = notification["alerts"]
    return alert["status"], alert["labels"]["incident"]
