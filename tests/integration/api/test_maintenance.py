"""Maintenance over HTTP and from the command line: a preview first, once per key, for ops alone."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .test_commands import run

TEXTS = {"reason": "The disks are replaced.", "internal_reason": "DB-7"}


def wish(**changed: Any) -> dict[str, Any]:
    start = datetime.now(UTC) + timedelta(hours=2)
    times = {"from": start.isoformat(), "until": (start + timedelta(hours=1)).isoformat()}
    return {**times, "lanes": ["normal-small"], **TEXTS, **changed}


async def test_a_window_is_previewed_planned_once_listed_and_cancelled(service: Any) -> None:
    await service.acme.job()
    asked = wish()
    preview = await service.ops.post("/v1/maintenance", json=asked, params={"dry_run": "true"})
    assert preview.status_code == 200, preview.text
    assert preview.json()["touches"] == [{"customer": "acme", "waiting": 1, "running": 0, "promises": 0}]
    assert (await service.ops.get("/v1/maintenance")).json()["items"] == []
    key = {"Idempotency-Key": "disks"}
    first = await service.ops.post("/v1/maintenance", json=asked, headers=key)
    again = await service.ops.post("/v1/maintenance", json=asked, headers=key)
    assert (first.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    window = first.json()["window"]
    assert again.json()["window"] == window
    other = await service.ops.post("/v1/maintenance", json=wish(drain=False), headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    (listed,) = (await service.support.get("/v1/maintenance")).json()["items"]
    assert (listed, listed["stage"]) == (window, "planned")
    assert (await service.ops.get(f"/v1/maintenance/{window['id']}")).json()["window"] == window
    path = f"/v1/maintenance/{window['id']}:end"
    ended = [await service.ops.post(path, json={"reason": "not needed"}) for _ in range(2)]
    assert [one.json()["stage"] for one in ended] == ["cancelled", "cancelled"]
    assert (await service.ops.get("/v1/maintenance")).json()["items"] == []
    assert len((await service.ops.get("/v1/maintenance", params={"over": "true"})).json()["items"]) == 1


async def test_requests_with_one_key_at_the_same_time_plan_one_window(service: Any) -> None:
    asked = wish()

    async def plan() -> Any:
        return await service.ops.post("/v1/maintenance", json=asked, headers={"Idempotency-Key": "disks"})

    answers = await asyncio.gather(*(plan() for _ in range(6)))
    assert [one.status_code for one in answers] == [201] * 6
    assert len({one.json()["window"]["id"] for one in answers}) == 1
    assert sorted("idempotency-replayed" in one.headers for one in answers) == [False, *[True] * 5]
    assert len((await service.ops.get("/v1/maintenance")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"lanes": ["fast"]}, "/lanes"),
        ({"until": "2001-01-01T00:00:00Z"}, "/until"),
        ({"from": "2001-01-01T00:00:00Z"}, "/from"),
        ({"reason": " "}, "/reason"),
        ({"surprise": 1}, "/surprise"),
    ],
)
async def test_what_makes_no_sense_is_refused(service: Any, changed: dict[str, Any], field: str) -> None:
    refused = await service.ops.post("/v1/maintenance", json=wish(**changed))
    assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text


async def test_only_ops_plan_and_customers_see_nothing_of_it(service: Any) -> None:
    path = "/v1/maintenance/0199a3c2-0000-7000-8000-000000000000"
    for caller in (service.acme, service.support):
        assert (await caller.post("/v1/maintenance", json=wish())).status_code == 403
        assert (await caller.post(f"{path}:end", json={"reason": "x"})).status_code == 403
    assert (await service.acme.get("/v1/maintenance")).status_code == 403
    for unknown in (path, "/v1/maintenance/none"):
        assert (await service.ops.get(unknown)).status_code == 404
    assert (await service.ops.post(f"{path}:end", json={"reason": "x"})).status_code == 404


async def test_the_command_line_plans_lists_and_ends(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    await service.acme.job()
    add = ("maintenance", "add", "--for", "1h", "--reason", "disks", "--internal", "DB-7", "--lane", "normal-small")
    assert await run(service, service.ops, *add, "--dry-run") == 0
    assert "would be planned" in capsys.readouterr().out
    assert await run(service, service.ops, *add, "--json") == 0
    window = json.loads(capsys.readouterr().out)["window"]
    assert window["stage"] == "in_force"
    assert await run(service, service.ops, "maintenance", "list") == 0
    assert "normal-small" in capsys.readouterr().out
    assert await run(service, service.ops, "maintenance", "end", window["id"], "--reason", "done") == 0
    assert "over" in capsys.readouterr().out
    assert await run(service, service.ops, "maintenance", "list") == 0
    assert "No maintenance is planned." in capsys.readouterr().out
    assert await run(service, service.ops, *add[:2], *add[4:]) == 2
    assert await run(service, service.support, *add) == 4
