"""Incidents over HTTP: our staff see and work on them, a job names its own to its customer, who sees nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from invoicing.incidents import alerting
from invoicing.incidents.keeping import Tell, keep, nobody
from invoicing.kit.db import transaction
from workers.detector import Detector

SECRETS = ("host-17", "worker", "Worker", "other")


async def do(service: Any, statement: str, **values: Any) -> None:
    async with transaction(service.engine) as session:
        await session.execute(text(statement), values)


async def look(service: Any, tell: Tell = nobody) -> None:
    async with transaction(service.engine) as session:
        await session.execute(text("UPDATE places SET at = now() WHERE name = 'watch'"))
        await session.execute(text("UPDATE jobs SET submitted_at = submitted_at - interval '1 min'"))
        await keep(session, tell=tell)


async def hold(service: Any, cause: str = "no_worker", *lanes: str, tell: Tell = nobody) -> None:
    """Have a lane held, as the observer finds it, and have it seen."""
    for lane in lanes or ("normal-small",):
        await do(
            service,
            "INSERT INTO conditions (scope, cause, since) VALUES (:lane, :cause, now() - interval '1 min')",
            lane=lane,
            cause=cause,
        )
    await look(service, tell)


async def ended(service: Any) -> None:
    await do(service, "UPDATE conditions SET until = now()")
    await look(service)


async def only(service: Any, **asked: str) -> Any:
    answer = await service.support.get("/v1/incidents", params=asked)
    assert answer.status_code == 200, answer.text
    (incident,) = answer.json()["items"]
    return incident


@pytest.fixture
async def incident(service: Any) -> Any:
    """Two customers' jobs wait, and nobody serves their lane."""
    await service.acme.job()
    await service.other.job()
    await hold(service)
    return await only(service)


async def act(service: Any, incident: Any, verb: str, status: int = 200, key: str | None = None, **body: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = await service.ops.post(f"/v1/incidents/{incident['id']}:{verb}", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_our_staff_see_what_holds_whom_since_when_and_what_to_do(service: Any, incident: Any) -> None:
    assert (incident["cause"], incident["scope"], incident["state"]) == ("no_worker", "lane:normal-small", "open")
    assert (incident["severity"], incident["blast"]["jobs"], incident["blast"]["customers"]) == ("S2", 2, 2)
    shown = (await service.ops.get(f"/v1/incidents/{incident['id']}", params={"page_size": "1"})).json()
    assert "invoicing workers" in shown["runbook"]
    assert [row["change"] for row in shown["timeline"]] == ["opened"]
    seen = [shown["members"]["items"][0]["customer"]]
    token = shown["members"]["next_page_token"]
    rest = (await service.ops.get(f"/v1/incidents/{incident['id']}", params={"page_token": token})).json()["members"]
    assert rest["next_page_token"] is None
    assert sorted(seen + [one["customer"] for one in rest["items"]]) == ["acme", "other"]


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("en", "Jobs of this queue are not being started at the moment."),
        ("de-AT", "Aufträge dieser Warteschlange werden derzeit nicht begonnen."),
        ("zh", "此队列中的任务目前没有开始处理。"),
    ],
)
async def test_a_job_names_the_incident_that_touches_it_in_its_customers_words(
    service: Any, language: str, title: str
) -> None:
    job = await service.acme.job()
    bulk = await service.acme.job({"kind": "drill", "payload": {}}, headers={"Idempotency-Key": "bulk"})
    await do(service, "UPDATE jobs SET priority = 'bulk' WHERE id = :id", id=bulk["id"])
    await hold(service)
    known = await only(service)
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await act(service, known, "estimate", at=until, text="host-17 is repaired by Ann")
    await act(service, known, "acknowledge")
    heard = {"Accept-Language": language}
    told = (await service.acme.get(f"/v1/jobs/{job['id']}", headers=heard)).json()["incident"]
    assert told["estimate"] is not None
    assert {**told, "since": None, "estimate": None} == {
        "id": known["id"], "severity": "S2", "title": title, "since": None, "estimate": None, "acknowledged": True,
    }  # fmt: skip
    assert not any(secret in str(told) for secret in SECRETS)
    listed = (await service.acme.get("/v1/jobs")).json()["items"]
    assert {one["id"]: one["incident"] is not None for one in listed} == {job["id"]: True, bulk["id"]: False}
    await service.hand.finish(job["id"])
    assert (await service.acme.get(f"/v1/jobs/{job['id']}")).json()["incident"] is None


async def test_people_work_on_an_incident_and_all_of_it_is_kept(service: Any, incident: Any) -> None:
    assert (await act(service, incident, "acknowledge", text="on it"))["incident"]["state"] == "acknowledged"
    assert not (await act(service, incident, "acknowledge"))["changed"]
    await act(service, incident, "assign", to="Ann")
    await act(service, incident, "note", text="The rack is dark.")
    until = datetime(2100, 1, 1, tzinfo=UTC).isoformat()
    await act(service, incident, "estimate", at=until)
    assert (await act(service, incident, "resolve", 409, text="done"))["code"] == "conflict"
    await ended(service)
    after = await act(service, incident, "resolve", text="The rack is lit.")
    assert (after["incident"]["state"], after["incident"]["resolved"]["by"]) == ("resolved", "ops:ops")
    assert (await act(service, incident, "assign", 409, to="Bob"))["code"] == "conflict"
    await act(service, incident, "note", text="It was the fuse.")
    shown = (await service.support.get(f"/v1/incidents/{incident['id']}")).json()
    assert [(row["change"], row["by"]) for row in shown["timeline"]] == [
        ("opened", "service"), ("acknowledged", "ops:ops"), ("assigned", "ops:ops"), ("noted", "ops:ops"),
        ("estimated", "ops:ops"), ("eased", "service"), ("resolved", "ops:ops"), ("noted", "ops:ops"),
    ]  # fmt: skip
    assert shown["assignee"] == "Ann"
    async with service.engine.connect() as session:
        acts = await session.scalars(text("SELECT act FROM audit_entries WHERE target LIKE 'incident:%' ORDER BY id"))
        assert list(acts) == [
            "incident.acknowledged", "incident.assigned", "incident.noted", "incident.estimated", "incident.resolved",
            "incident.noted",
        ]  # fmt: skip


async def test_an_act_that_is_sent_twice_is_done_once(service: Any, incident: Any) -> None:
    for _ in range(2):
        await act(service, incident, "note", key="one", text="The rack is dark.")
    shown = (await service.ops.get(f"/v1/incidents/{incident['id']}")).json()
    assert [row["change"] for row in shown["timeline"]] == ["opened", "noted"]
    assert (await act(service, incident, "assign", 422, key="one", to="Ann"))["code"] == "idempotency_key_reused"


async def test_a_merged_incident_goes_on_in_the_other_and_jobs_name_that(service: Any, incident: Any) -> None:
    job = await service.acme.job({"kind": "drill", "payload": {}, "priority": "urgent"})
    await hold(service, "no_worker", "urgent-small")
    second = await only(service, state="open", cause="no_worker", page_size="1")
    assert second["scope"] == "lane:urgent-small"
    merged = await act(service, second, "merge", into=incident["id"], text="the same rack")
    assert (merged["incident"]["state"], merged["incident"]["merged_into"]) == ("resolved", incident["id"])
    await do(service, "UPDATE incidents SET seen_at = seen_at - interval '5 s'")
    await look(service)
    assert (await only(service, state="open,acknowledged"))["blast"]["jobs"] == 3
    assert (await service.acme.get(f"/v1/jobs/{job['id']}")).json()["incident"]["id"] == incident["id"]


@pytest.mark.parametrize(
    ("verb", "body", "status", "field"),
    [
        ("note", {}, 422, "/text"),
        ("note", {"text": " "}, 422, "/text"),
        ("resolve", {}, 422, "/text"),
        ("estimate", {"at": "2020-01-01T00:00:00Z"}, 422, "/at"),
        ("merge", {"into": "0199a3c2-0000-7000-8000-000000000000"}, 422, "/into"),
        ("assign", {"to": "A\u0000nn"}, 422, "/to"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    service: Any, incident: Any, verb: str, body: dict[str, str], status: int, field: str
) -> None:
    assert (await act(service, incident, verb, status, **body))["field"] == field


@pytest.mark.parametrize("asked", [{"state": "on_fire"}, {"cause": "paused"}, {"severity": "S1,S9"}])
async def test_a_filter_that_there_is_not_is_refused(service: Any, asked: dict[str, str]) -> None:
    answer = await service.ops.get("/v1/incidents", params=asked)
    assert (answer.status_code, answer.json()["field"]) == (400, f"/query/{next(iter(asked))}")


async def test_a_list_goes_on_with_its_filters(service: Any, incident: Any) -> None:
    await service.acme.job({"kind": "drill", "payload": {"seconds": 1}, "priority": "urgent"})
    await hold(service, "undelivered", "urgent-small")
    first = (await service.ops.get("/v1/incidents", params={"page_size": "1", "severity": "S2"})).json()
    token = first["next_page_token"]
    rest = (await service.ops.get("/v1/incidents", params={"page_token": token})).json()
    assert [one["cause"] for one in first["items"] + rest["items"]] == ["undelivered", "no_worker"]
    assert rest["items"][0]["id"] == incident["id"]
    other = await service.ops.get("/v1/incidents", params={"page_token": token, "severity": "S1"})
    assert other.json()["field"] == "/query/page_token"


async def test_customers_see_no_incidents_and_support_changes_none(service: Any, incident: Any) -> None:
    address = f"/v1/incidents/{incident['id']}"
    assert [(await service.acme.get(path)).status_code for path in ("/v1/incidents", address)] == [403, 403]
    assert (await service.support.post(f"{address}:note", json={"text": "x"})).status_code == 403
    assert (await service.admin.post(f"{address}:note", json={"text": "x"})).status_code == 200
    for unknown in ("0199a3c2-0000-7000-8000-000000000000", "x"):
        assert (await service.ops.get(f"/v1/incidents/{unknown}")).status_code == 404
        assert (await service.ops.post(f"/v1/incidents/{unknown}:acknowledge", json={})).status_code == 404


async def test_an_incident_says_who_was_called_and_who_is_next(service: Any) -> None:
    level = {"zone": "UTC", "begins": "00:00", "ends": "00:00", "weekdays": [*range(7)]}
    rota = {
        "people": [{"id": name, "name": name.title(), "mail": f"{name}@example.com"} for name in ("ann", "cyd")],
        "shifts": [{**level, "people": ["ann"], "level": 1}, {**level, "people": ["cyd"], "level": 2}],
        "steps": [{"after_minutes": 0, "level": 1}, {"after_minutes": 5, "level": 2}],
        "reason": "the first one",
    }
    assert (await service.ops.put("/v1/rota", json=rota)).status_code == 200
    await service.acme.job()
    await hold(service, tell=alerting.tell)
    address = f"/v1/incidents/{(await only(service))['id']}"
    assert (await service.ops.get(address)).json()["escalation"] == {"called": [], "next": None}
    await Detector(service.engine, alerting.tell, calls=True, mails=True).call()
    found = (await service.support.get(address)).json()
    (called,), coming = found["escalation"]["called"], found["escalation"]["next"]
    assert (called["person"], called["name"], called["level"]) == ("ann", "Ann", 1)
    assert coming["people"] == [{"person": "cyd", "name": "Cyd"}]
    waits = datetime.fromisoformat(coming["at"]) - datetime.fromisoformat(called["at"])
    assert waits == timedelta(minutes=5)
    assert [row["change"] for row in found["timeline"]] == ["opened", "escalated"]
    channels = (await service.ops.get("/v1/channels")).json()
    assert channels["items"] == []
