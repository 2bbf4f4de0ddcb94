"""Ops and admins hold one customer: what the customer, our staff and the audit say of it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from invoicing.diagnosis.model.life import to_ms
from invoicing.kit.db import transaction
from invoicing.lanes import service as lanes

from .test_commands import run

LATER = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
ACME = "/v1/admin/customers/acme"
PAUSE = {"until": LATER, "reason": "You asked us to."}
RESUME = {"reason": "It is well again."}


async def audited(service: Any) -> list[tuple[str, str, str]]:
    statement = text("SELECT act, actor, reason FROM audit_entries WHERE act LIKE 'customer.%ed' ORDER BY id")
    async with service.engine.connect() as session:
        rows = await session.execute(statement)
        return [(row.act, row.actor, row.reason) for row in rows if row.act != "customer.added"]


async def lifted(service: Any) -> None:
    """Have a worker that serves the lane of drills, so that nothing else holds them."""
    async with transaction(service.engine) as session:
        await lanes.register(session, service.hand.worker, "host", 1, "0.1", 2, ["normal-small"], ["drill"])


async def test_ops_hold_a_customer_and_let_it_go_on_and_both_are_on_the_audit(service: Any) -> None:
    await service.hand.start((await service.acme.job())["id"])
    await service.acme.job()
    paused = await service.ops.post(f"{ACME}:pause", json=PAUSE)
    assert paused.status_code == 200, paused.text
    told = paused.json()
    assert (told["waiting"], told["running"], told["dry_run"], told["customer"]) == (1, 1, False, "acme")
    assert (told["paused"]["reason"], told["paused"]["by"]) == ("You asked us to.", "ops:ops")
    assert datetime.fromisoformat(told["paused"]["until"]) == datetime.fromisoformat(LATER)
    assert (await service.ops.get(ACME)).json() == told
    listed = (await service.admin.get("/v1/admin/customers")).json()["items"]
    assert {one["slug"]: one["paused"] for one in listed} == {"acme": told["paused"], "other": None}
    longer = await service.admin.post(f"{ACME}:pause", json={**PAUSE, "reason": "It runs away."})
    assert longer.json()["paused"]["by"] == "admin:admin"
    assert (await service.ops.post(f"{ACME}:resume", json=RESUME)).json()["paused"] is None
    assert (await service.ops.post(f"{ACME}:resume", json=RESUME)).status_code == 200
    assert await audited(service) == [
        ("customer.paused", "ops:ops", "You asked us to."),
        ("customer.paused", "admin:admin", "It runs away."),
        ("customer.resumed", "ops:ops", "It is well again."),
    ]


async def test_a_preview_changes_nothing(service: Any) -> None:
    await service.acme.job()
    would = (await service.ops.post(f"{ACME}:pause?dry_run=true", json=PAUSE)).json()
    assert (would["dry_run"], would["waiting"], would["paused"]["reason"]) == (True, 1, "You asked us to.")
    assert (await service.ops.get(ACME)).json()["paused"] is None
    assert await audited(service) == []


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("pause", {"reason": "x"}, "/until"),
        ("pause", {"until": LATER}, "/reason"),
        ("pause", {"until": LATER, "reason": " "}, "/reason"),
        ("pause", {"until": "2020-01-01T00:00:00Z", "reason": "x"}, "/until"),
        ("pause", {"until": LATER, "reason": "x\u0000"}, "/reason"),
        ("resume", {}, "/reason"),
    ],
)
async def test_a_pause_needs_a_time_to_come_and_both_a_reason(service: Any, verb: str, body: Any, field: str) -> None:
    answer = await service.ops.post(f"{ACME}:{verb}", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert answer.json()["remedy"]


@pytest.mark.parametrize("slug", ["nobody", "No-Body", "%00"])
async def test_nobody_can_be_paused_who_is_not_there(service: Any, slug: str) -> None:
    nobody = f"/v1/admin/customers/{slug}"
    assert (await service.ops.post(f"{nobody}:pause", json=PAUSE)).status_code == 404
    assert (await service.ops.post(f"{nobody}:resume", json=RESUME)).status_code == 404
    assert (await service.ops.get(nobody)).status_code == 404


async def test_its_jobs_say_why_and_until_when_and_no_others_do(service: Any) -> None:
    await lifted(service)
    before = await service.acme.job()
    await service.ops.post(f"{ACME}:pause", json=PAUSE)
    job = (await service.acme.get(f"/v1/jobs/{before['id']}")).json()
    assert job["cause"]["code"] == "paused"
    evidence = job["cause"]["evidence"]
    assert (evidence["scope"], evidence["by"], evidence["reason"]) == ("customer", "operations", "You asked us to.")
    assert datetime.fromisoformat(evidence["until"]) == datetime.fromisoformat(LATER)
    assert job["position"] is None
    newcomer = await service.acme.job()
    told = (await service.acme.get(f"/v1/jobs/{newcomer['id']}")).json()
    assert told["cause"]["code"] == "paused"
    theirs = await service.other.job()
    other = (await service.other.get(f"/v1/jobs/{theirs['id']}")).json()
    assert other["cause"]["code"] == "starting"
    german = await service.acme.get(f"/v1/jobs/{before['id']}", headers={"Accept-Language": "de"})
    assert german.json()["cause"]["message"].startswith("Unser Betrieb hat Ihre Aufträge bis zum ")
    why = (await service.support.get(f"/v1/jobs/{before['id']}/why")).json()
    assert [cause["code"] for cause in why["causes"]] == ["paused"]
    assert "ops:ops" not in json.dumps(why)


async def test_its_account_has_the_pause_to_the_millisecond(service: Any) -> None:
    await lifted(service)
    job = await service.acme.job()
    await service.ops.post(f"{ACME}:pause", json=PAUSE)
    await service.ops.post(f"{ACME}:resume", json=RESUME)
    async with service.engine.connect() as session:
        (held,) = (await session.execute(text("SELECT since, ended_at FROM customer_pauses"))).all()
    told = (await service.acme.get(f"/v1/jobs/{job['id']}/why")).json()
    (part,) = [one for one in told["account"]["intervals"] if one["cause"] == "paused"]
    assert datetime.fromisoformat(part["since"]) == to_ms(held.since)
    assert datetime.fromisoformat(part["until"]) == to_ms(held.ended_at)
    assert part["evidence"]["scope"] == "customer"
    assert sum(told["account"]["totals"].values()) == pytest.approx(told["account"]["seconds"])
    assert set(told["account"]["totals"]) == {"paused", "starting"}


async def test_a_customer_is_paused_and_resumed_from_the_command_line(
    service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    await service.acme.job()
    wish = ("customers", "pause", "acme", "--reason", "You asked us to.")
    assert await run(service, service.ops, *wish, "--for", "30m", "--dry-run") == 0
    assert "acme: would be paused until" in capsys.readouterr().out
    assert await run(service, service.ops, *wish, "--until", LATER) == 0
    shown = capsys.readouterr().out
    assert ("by ops:ops: You asked us to." in shown, "1 of its jobs wait, 0 run." in shown) == (True, True)
    assert await run(service, service.admin, "customers", "list") == 0
    assert "You asked us to." in capsys.readouterr().out
    assert await run(service, service.ops, "customers", "resume", "acme", "--reason", "well", "--json") == 0
    assert json.loads(capsys.readouterr().out)["paused"] is None
    assert await run(service, service.ops, "customers", "show", "acme") == 0
    assert "acme: not paused" in capsys.readouterr().out
    assert await run(service, service.ops, *wish) == 2
    assert "A pause needs its end." in capsys.readouterr().err
    assert await run(service, service.ops, "customers", "show", "nobody") == 1
    assert await run(service, service.support, "customers", "show", "acme") == 4
