"""The rota over HTTP and from the command line: no false claim, no person that is not there, for ops alone."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from .test_commands import run

EXAMPLE = Path(__file__).parents[3] / "examples" / "on-call" / "rota.json"
ROTA: dict[str, Any] = json.loads(EXAMPLE.read_text()) | {"reason": "a first one"}
OFFICE = {"people": ["ann"], "zone": "Europe/Berlin", "begins": "09:00", "ends": "17:00", "country": "DE"}
ICS = {"Content-Type": "text/calendar"}


async def put(service: Any, **changed: Any) -> Any:
    return await service.ops.put("/v1/rota", json={**ROTA, **changed})


def soon(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


async def audited(service: Any) -> list[str]:
    async with service.engine.connect() as session:
        rows = await session.scalars(text("SELECT act FROM audit_entries WHERE target = 'rota' ORDER BY id"))
        return list(rows.all())


async def test_nobody_is_on_duty_until_somebody_has_written_a_rota(service: Any) -> None:
    found = (await service.ops.get("/v1/rota/now")).json()
    assert (found["on_duty"], found["findings"][0]["code"], found["findings"][0]["severity"]) == (
        [],
        "nobody_on_duty",
        "S1",
    )
    assert (await service.ops.get("/v1/rota")).json()["version"] == 0


async def test_a_rota_is_written_once_and_says_who_is_called_when(service: Any) -> None:
    first, again = await put(service), await put(service)
    assert first.status_code == 200, first.text
    assert (first.json()["version"], again.json()["version"]) == (1, 1)
    changed = (await put(service, claims=None)).json()
    assert (changed["version"], changed["claims"]) == (2, None)
    assert await audited(service) == ["rota.written", "rota.written"]
    found = (await service.ops.get("/v1/rota/now", params={"at": "2026-12-07T11:00:00Z"})).json()
    assert [(one["level"], one["person"]["id"]) for one in found["on_duty"]] == [(1, "bob"), (2, "cyd")]
    called = [(one["after_minutes"], [who["id"] for who in one["people"]]) for one in found["calls"]]
    assert called == [(0.0, ["bob"]), (5.0, ["bob", "cyd"])]
    assert (found["findings"], found["next"]["at"]) == ([], "2026-12-07T16:00:00Z")


async def test_a_claim_that_hours_refute_is_refused_with_the_first_of_them(service: Any) -> None:
    refused = await put(service, shifts=[OFFICE], steps=[{"after_minutes": 0, "level": 1}])
    assert (refused.status_code, refused.json()["field"]) == (422, "/claims")
    assert "nobody is on duty from " in refused.json()["detail"]
    assert "invoicing rota lint" in refused.json()["remedy"]
    assert (
        await put(service, shifts=[OFFICE], steps=[{"after_minutes": 0, "level": 1}], claims=None)
    ).status_code == 200
    gaps = (await service.ops.get("/v1/rota/gaps", params={"weeks": 2})).json()
    assert len(gaps["items"]) >= 10
    assert 0 < gaps["covered"] < 0.4


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"people": []}, "/shifts/0/people"),
        ({"shifts": [{**OFFICE, "zone": "Europe/Nowhere"}], "claims": None}, "/shifts/0"),
        ({"shifts": [{**OFFICE, "begins": "25:00"}]}, "/shifts/0/begins"),
        ({"claims": "always"}, "/claims"),
        ({"steps": [{"after_minutes": 5, "level": 1}]}, "/steps"),
        ({"people": [{"id": "ann", "name": "Ann", "mail": "nowhere"}]}, "/people/0/mail"),
    ],
)
async def test_what_makes_no_sense_is_refused(service: Any, changed: dict[str, Any], field: str) -> None:
    refused = await put(service, **changed)
    assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text


async def test_an_override_is_made_once_and_taken_back(service: Any) -> None:
    await put(service)
    present = (await service.ops.get("/v1/rota/now")).json()["on_duty"][0]["person"]["id"]
    wish = {"from": soon(-1), "until": soon(1), "person": "cyd", "replaces": present, "reason": "They are ill."}
    made = [
        await service.ops.post("/v1/rota/overrides", json=wish, headers={"Idempotency-Key": "ill"}) for _ in range(2)
    ]
    assert [one.status_code for one in made] == [201, 201]
    assert made[0].json() == made[1].json()
    other = await service.ops.post("/v1/rota/overrides", json={**wish, "level": 2}, headers={"Idempotency-Key": "ill"})
    assert other.json()["code"] == "idempotency_key_reused"
    assert (await service.ops.get("/v1/rota/now")).json()["on_duty"][0]["person"]["id"] == "cyd"
    gone = await put(service, people=ROTA["people"][:2], shifts=ROTA["shifts"][:2], steps=ROTA["steps"][:1])
    assert gone.json()["field"] == "/people"  # cyd is needed
    path = f"/v1/rota/overrides/{made[0].json()['id']}"
    assert [(await service.ops.delete(path)).status_code for _ in range(2)] == [204, 404]
    assert (await service.ops.get("/v1/rota/now")).json()["on_duty"][0]["person"]["id"] == present
    assert await audited(service) == ["rota.written", "rota.overridden", "rota.override_removed"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"person": "dan"}, "/person"),
        ({"replaces": "dan"}, "/replaces"),
        ({"replaces": "bob"}, "/replaces"),
        ({"until": "2026-01-01T00:00:00Z"}, "/until"),
    ],
)
async def test_an_override_that_makes_no_sense_is_refused(service: Any, changed: dict[str, Any], field: str) -> None:
    await put(service)
    wish = {"from": soon(-1), "until": soon(1), "person": "bob", "replaces": "ann", "reason": "x", **changed}
    refused = await service.ops.post("/v1/rota/overrides", json=wish)
    assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text


async def test_a_calendar_goes_out_and_comes_in_and_replaces_the_one_before(service: Any) -> None:
    await put(service)
    sent = await service.ops.get("/v1/rota.ics", params={"weeks": 2})
    assert (sent.status_code, sent.headers["content-type"].split(";")[0]) == (200, "text/calendar")
    await put(
        service, shifts=[{**OFFICE, "until": "2026-01-01"}], claims=None, steps=[{"after_minutes": 0, "level": 1}]
    )
    assert (await service.ops.get("/v1/rota/gaps", params={"weeks": 1})).json()["covered"] == 0
    preview = await service.ops.post("/v1/rota.ics", content=sent.content, headers=ICS, params={"dry_run": "true"})
    assert preview.json()["dry_run"] is True
    assert (await service.ops.get("/v1/rota/gaps", params={"weeks": 1})).json()["covered"] == 0
    made = [await service.ops.post("/v1/rota.ics", content=sent.content, headers=ICS) for _ in range(2)]
    duties = made[0].json()["duties"]
    assert [(one.json()["duties"], one.json()["replaced"]) for one in made] == [(duties, 0), (duties, duties)]
    assert (await service.ops.get("/v1/rota/gaps", params={"weeks": 1})).json()["covered"] == 1
    for content in (b"", b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:x\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"):
        assert (await service.ops.post("/v1/rota.ics", content=content, headers=ICS)).status_code == 422
    assert (await service.ops.post("/v1/rota.ics", json={})).status_code == 415


async def test_only_ops_see_and_write_it(service: Any) -> None:
    for caller in (service.acme, service.support):
        for path in ("/v1/rota", "/v1/rota/now", "/v1/rota/gaps", "/v1/rota.ics"):
            assert (await caller.get(path)).status_code == 403
        assert (await caller.put("/v1/rota", json=ROTA)).status_code == 403
        assert (await caller.post("/v1/rota.ics", content=b"", headers=ICS)).status_code == 403
        assert (await caller.delete("/v1/rota/overrides/0199a3c2-0000-7000-8000-000000000000")).status_code == 403


async def test_the_command_line_writes_shows_and_lints(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(service, service.ops, "rota", "lint") == 1
    assert await run(service, service.ops, "rota", "write", str(EXAMPLE), "--reason", "a first one") == 0
    capsys.readouterr()
    assert await run(service, service.ops, "rota", "show") == 0
    assert "claims 24/7" in capsys.readouterr().out
    assert await run(service, service.ops, "rota", "lint", "--weeks", "53") == 0
    assert "100 % of the next 53 weeks is covered" in capsys.readouterr().out
    assert await run(service, service.ops, "rota", "now", "--at", "2026-12-07T11:00:00Z") == 0
    assert "level 1: Bob Baum <bob@example.com>" in capsys.readouterr().out
    override = ("rota", "override", "cyd", "--for", "ann", "--lasting", "8h", "--reason", "Ann is ill")
    assert await run(service, service.ops, *override, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert await run(service, service.ops, "rota", "remove", made["id"]) == 0
    file = tmp_path / "on-call.ics"
    assert await run(service, service.ops, "rota", "export", "--output", str(file)) == 0
    assert "BEGIN:VTIMEZONE" in file.read_text()
    capsys.readouterr()
    assert await run(service, service.ops, "rota", "import", str(file), "--reason", "a try", "--dry-run") == 0
    assert "duties would be read" in capsys.readouterr().out
    assert await run(service, service.ops, "rota", "write", str(file), "--reason", "x") == 1
    assert await run(service, service.support, "rota", "now") == 4
