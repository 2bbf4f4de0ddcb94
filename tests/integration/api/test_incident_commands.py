"""Incidents from the command line: whom one touches, until when, who was called, and how much of it is mended."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from invoicing.cli.wording import clock
from invoicing.incidents import alerting
from invoicing.lanes.model import LANES
from workers.detector import Detector

from .test_commands import run
from .test_incidents import act, do, hold, look, only

LEVEL = {"zone": "UTC", "begins": "00:00", "ends": "00:00"}
ROTA = {
    "people": [{"id": name, "name": name.title(), "mail": f"{name}@example.com"} for name in ("ann", "cyd")],
    "shifts": [{**LEVEL, "people": ["ann"], "level": 1}, {**LEVEL, "people": ["cyd"], "level": 2}],
    "steps": [{"after_minutes": 0, "level": 1}, {"after_minutes": 5, "level": 2}],
    "reason": "the first one",
}


async def shown(service: Any, capsys: pytest.CaptureFixture[str], incident: Any) -> str:
    assert await run(service, service.support, "incidents", "show", incident["id"]) == 0
    return capsys.readouterr().out


async def test_one_is_shown_with_its_jobs_its_end_and_what_was_done(
    service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    job = await service.acme.job({"kind": "drill", "payload": {}, "reference": "march [1]"})
    await service.other.job()
    await hold(service)
    incident = await only(service)
    text = await shown(service, capsys, incident)
    assert text.startswith("S2 ")
    for words in ("(open)", "nobody knows how long still", "touches 2 jobs of 2 customers", "0 missed, 0 at risk"):
        assert words in text
    (member,) = [line for line in text.splitlines() if job["id"] in line]
    for words in ("acme", "drill march [1]", "queued in normal-small", "promised by", "(on track)"):
        assert words in member
    assert "acknowledged by" not in text
    at = datetime.now(UTC) + timedelta(hours=1)
    await act(service, incident, "acknowledge", text="on it")
    await act(service, incident, "assign", to="Ann [night]")
    await act(service, incident, "estimate", at=at.isoformat())
    text = await shown(service, capsys, incident)
    assert f"expected to be over at {clock(at.isoformat())} (ops:ops)" in text
    assert "acknowledged by ops:ops at " in text
    assert "in the hands of Ann [night]" in text
    assert [line.split("  ")[1] for line in text.splitlines() if " by ops:ops" in line and "  " in line] == [
        "acknowledged by ops:ops", "assigned by ops:ops", "estimated by ops:ops",
    ]  # fmt: skip
    assert "invoicing workers" in text


async def test_a_part_that_is_mended_shows_as_fewer_jobs_and_lanes_and_the_end_by_when_it_is_over(
    service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bulk = await service.acme.job({"kind": "drill", "payload": {}, "priority": "bulk"})
    jobs = [await service.acme.job() for _ in range(6)]
    await hold(service, "no_worker", *(lane.name for lane in LANES))
    incident = await only(service)
    text = await shown(service, capsys, incident)
    assert (text.startswith("S1 "), "touches 7 jobs of 1 customer\n" in text) == (True, True)
    assert "lanes: bulk-small, normal-small" in text
    named = [job["id"] for job in (bulk, *jobs) if job["id"] in text]
    assert (len(named), "and more: --json" in text) == (5, True)
    for job in jobs:
        await service.hand.finish(job["id"])
    await do(service, "UPDATE conditions SET until = now() WHERE scope LIKE 'normal-%'")
    await do(service, "UPDATE incidents SET seen_at = seen_at - interval '5 s'")
    await look(service)
    text = await shown(service, capsys, incident)
    assert (text.startswith("S1 "), "touches 1 job of 1 customer\n" in text) == (True, True)
    assert ("normal-small" in text, bulk["id"] in text, "and more" in text) == (False, True, False)
    await do(service, "UPDATE conditions SET until = now() WHERE until IS NULL")
    await look(service)
    text = await shown(service, capsys, incident)
    assert ("; over by itself at " in text, bulk["id"] in text) == (True, False)
    await do(service, "UPDATE incidents SET quiet_since = quiet_since - interval '1 hour'")
    await look(service)
    text = await shown(service, capsys, incident)
    assert (", over at " in text, "expected" in text, "nobody knows" in text) == (True, False, False)


async def test_who_was_called_and_who_is_next_is_shown(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert (await service.ops.put("/v1/rota", json=ROTA)).status_code == 200
    await service.acme.job()
    await hold(service, tell=alerting.tell)
    incident = await only(service)
    assert "called" not in await shown(service, capsys, incident)
    await Detector(service.engine, alerting.tell, calls=True, mails=True).call()
    assert await run(service, service.ops, "incidents", "show", incident["id"], "--json") == 0
    told = json.loads(capsys.readouterr().out)["escalation"]
    text = await shown(service, capsys, incident)
    called, upcoming = (clock(one["at"]) for one in (told["called"][0], told["next"]))
    assert f"Ann (level 1) was called at {called}" in text
    assert f"next, unless it is acknowledged: Cyd at {upcoming}" in text
    assert "escalated by service  Ann (level 1)" in text
    await act(service, incident, "acknowledge")
    assert "next, unless" not in await shown(service, capsys, incident)
