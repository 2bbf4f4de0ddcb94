"""A single job that our staff pause says so until a time, keeps its place, and goes on by itself, or earlier."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from invoicing.diagnosis.model.life import to_ms
from invoicing.jobs.model import Failed, JobError
from invoicing.kit.db import transaction
from workers.usher import Usher

from .conftest import Customer, Service
from .holding import LARGE, SMALL, WHY, act, events, moment, seen, set_quota, set_review
from .test_commands import run

HOUR = timedelta(hours=1)
MESSAGE = "You asked us to wait for the new address."


async def pause(
    client: Customer, job: dict[str, Any], last: timedelta = HOUR, message: str | None = None, **more: Any
) -> Any:
    told = {} if message is None else {"message": message}
    body = {**WHY, "until": (datetime.now(UTC) + last).isoformat(), **told}
    return await client.post(f"/v1/support/jobs/{job['id']}:pause", json=body, params=more)


async def do(service: Service, statement: str, **values: Any) -> None:
    async with transaction(service.engine) as session:
        await session.execute(text(statement), values)


async def row(service: Service, job: dict[str, Any]) -> Any:
    async with service.engine.connect() as session:
        return (await session.execute(text("SELECT * FROM jobs WHERE id = :id"), {"id": job["id"]})).one()


async def moments(service: Service, job: dict[str, Any]) -> dict[str, datetime]:
    items = (await service.acme.get(f"/v1/jobs/{job['id']}/events")).json()["items"]
    return {one["event"]: moment(one["at"]) for one in items}


async def test_a_paused_job_says_until_when_and_why_and_by_role_alone(service: Service) -> None:
    job = await service.acme.job(SMALL)
    await do(service, "UPDATE jobs SET released_at = now()")
    preview = (await pause(service.support, job, message=MESSAGE, dry_run="true")).json()
    assert (preview["changed"], preview["job"]["cause"]["code"]) == (True, "paused")
    assert (await row(service, job)).released_at is not None
    done = await pause(service.support, job, message=MESSAGE)
    assert (done.status_code, done.json()["changed"], done.json()["after"]["position"]) == (200, True, None)
    found, now_seen = await row(service, job), await seen(service, job)
    assert (found.held, found.released_at, found.state) == (True, None, "queued")
    cause = now_seen["cause"]
    until = moment(cause["evidence"]["until"])
    assert (cause["code"], cause["evidence"]["scope"], cause["evidence"]["by"]) == ("paused", "job", "support")
    assert (cause["evidence"]["reason"], now_seen["position"]) == (MESSAGE, None)
    assert MESSAGE in cause["message"]
    assert until < moment(cause["next_update_by"]) < until + timedelta(minutes=1)
    assert now_seen["promise"]["status"] == "at_risk", "it cannot end before it is promised"
    german = await seen(service, job, headers={"Accept-Language": "de"})
    assert "angehalten" in german["cause"]["message"]
    why = (await service.acme.get(f"/v1/jobs/{job['id']}/why")).json()
    assert [one["code"] for one in why["causes"]] == ["paused"]
    told = (await service.acme.get(f"/v1/jobs/{job['id']}/events")).text
    assert "Erika" not in json.dumps(now_seen) + json.dumps(why) + told
    assert (await service.other.get(f"/v1/jobs/{job['id']}")).status_code == 404


async def test_it_is_resumed_in_its_place_and_each_millisecond_of_the_pause_is_booked(service: Service) -> None:
    job = await service.acme.job(SMALL)
    before = await row(service, job)
    await pause(service.support, job)
    again = await pause(service.ops, job, 2 * HOUR)
    assert again.json()["changed"] is True
    preview = (await act(service.support, job, "resume", dry_run="true")).json()
    assert (preview["before"]["position"], preview["after"]["position"]) == (None, {"ahead": 0})
    assert (await act(service.support, job, "resume")).json()["changed"] is True
    found = await row(service, job)
    assert (found.held, found.order_at) == (False, before.order_at)
    assert [event for event, _ in await events(service, job)] == ["accepted", "paused", "paused", "resumed"]
    await service.hand.finish(job["id"])
    at, account = await moments(service, job), (await service.acme.get(f"/v1/jobs/{job['id']}/why")).json()["account"]
    first, last = (one for one in account["intervals"] if one["cause"] == "paused")
    assert (moment(last["since"]), moment(last["until"])) == (to_ms(at["paused"]), to_ms(at["resumed"]))
    assert first["until"] == last["since"]
    assert account["totals"]["paused"] == round(first["seconds"] + last["seconds"], 3)
    assert "scheduled" not in account["totals"]
    async with service.engine.connect() as session:
        audited = await session.execute(
            text("SELECT act, reason FROM audit_entries WHERE act LIKE 'job.%' ORDER BY id")
        )
        assert [tuple(one) for one in audited] == [
            (what, WHY["reason"]) for what in ("job.paused", "job.paused", "job.resumed")
        ]
        assert (await session.execute(text("SELECT count(*) FROM holds"))).scalar_one() == 0


async def test_it_goes_on_by_itself_when_its_time_is_over_also_where_it_waits_for_another_try(service: Service) -> None:
    jobs = [await service.acme.job(SMALL) for _ in range(3)]
    for job in jobs[:2]:
        await service.hand.start(job["id"])
        await service.hand.end(job["id"], Failed(JobError("drill_failed", "No.")))
    for job in jobs:
        assert (await pause(service.support, job)).status_code == 200
    assert (await row(service, jobs[0])).state == "retrying"
    await do(service, "UPDATE jobs SET due_at = now() WHERE id = :id", id=jobs[0]["id"])
    assert (await seen(service, jobs[0]))["cause"]["code"] == "paused"
    usher = Usher(service.engine)
    assert await usher.round() == 0
    await do(service, "UPDATE holds SET due = now() WHERE job_id <> :id", id=jobs[1]["id"])
    assert "goes on this moment" in (await seen(service, jobs[2]))["cause"]["message"]
    assert await usher.round() == 2
    assert [(await row(service, job)).held for job in jobs] == [False, True, False]
    items = (await service.acme.get(f"/v1/jobs/{jobs[2]['id']}/events")).json()["items"]
    assert (items[-1]["event"], items[-1]["data"]) == ("resumed", {})
    assert (await act(service.support, jobs[1], "resume")).json()["after"]["state"] == "retrying"
    assert (await seen(service, jobs[1]))["cause"]["code"] == "retry_backoff"


async def test_what_cannot_be_paused_says_what_to_do_instead(service: Service) -> None:
    await set_review(service)
    runs, reviewed, ended = await service.acme.job(SMALL), await service.acme.job(LARGE), await service.acme.job(SMALL)
    await service.hand.start(runs["id"])
    await act(service.support, ended, "cancel")
    waits = await service.acme.job(SMALL)
    await set_quota(service, most=1)
    await service.acme.job(SMALL)
    beyond = await service.acme.job(SMALL)
    for job, remedy in ((runs, ":cancel"), (reviewed, ":release"), (beyond, "quota"), (ended, "")):
        refused = await pause(service.support, job)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert remedy in refused.json().get("remedy", "")
        assert (await act(service.support, job, "resume")).status_code == 409
    for last in (timedelta(seconds=-1), timedelta(days=31, hours=1)):
        refused = await pause(service.support, waits, last)
        assert (refused.status_code, refused.json()["field"], "remedy" in refused.json()) == (422, "/until", True)
    for body, field in (({**WHY}, "/until"), ({"until": "2027-01-01T00:00:00Z"}, "/reason")):
        refused = await service.support.post(f"/v1/support/jobs/{waits['id']}:pause", json=body)
        assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert (await pause(service.acme, waits)).status_code == 403
    assert (await pause(service.support, {"id": "0199a3c2-0000-7000-8000-000000000000"})).status_code == 404


async def test_a_paused_job_is_cancelled_at_once_and_nothing_else_starts_it(service: Service) -> None:
    job = await service.acme.job(SMALL)
    await pause(service.support, job)
    for verb in ("expedite", "move", "retry"):
        sent = {**WHY, **({"priority": "urgent"} if verb == "move" else {})}
        refused = await service.support.post(f"/v1/support/jobs/{job['id']}:{verb}", json=sent)
        assert (refused.status_code, ":resume" in refused.json()["remedy"]) == (409, True)
    assert (await pause(service.ops, job, message=MESSAGE)).json()["changed"] is True
    assert (await service.acme.post(f"/v1/jobs/{job['id']}:cancel")).json()["state"] == "cancelled"
    assert (await service.support.get("/v1/support/holds")).json()["items"] == []
    assert (await act(service.support, job, "resume")).status_code == 409


async def test_our_staff_pause_resume_and_list_from_the_command_line(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    await set_review(service)
    job, _ = await service.acme.job({**SMALL, "reference": "PO-7"}), await service.acme.job(LARGE)
    wish = ("jobs", "pause", job["id"], "--reason", "Erika asks", "--message", MESSAGE)
    assert await run(service, service.support, *wish) == 2
    assert await run(service, service.support, *wish, "--for", "2h") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Our staff have paused this job until" in told
    assert MESSAGE in told
    listed = (await service.ops.get("/v1/support/holds")).json()["items"]
    assert [(one["cause"], one["reason"], one["message"], one["by"]) for one in listed] == [
        ("paused", "Erika asks", MESSAGE, "support:support"), ("in_review", None, None, None),
    ]  # fmt: skip
    assert await run(service, service.support, "holds") == 0
    shown = capsys.readouterr().out
    assert ("PO-7" in shown, "Erika" in shown, "overdue" in shown) == (True, True, False)
    assert await run(service, service.support, "jobs", "resume", job["id"], "--reason", "it came") == 0
    assert "to   queued in normal-small, 0 ahead" in capsys.readouterr().out
