"""`/metrics`: what a monitoring system reads is what the ledger holds, for those who may know, in few series."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain
from sqlalchemy import event, text

from invoicing.kit.db import transaction
from invoicing.kit.signal_box import KEPT_S, SignalBox
from invoicing.lanes.model import LANES
from invoicing.lanes.signals import read_signals
from invoicing.outbox.model import Channel

from .holding import LARGE, SMALL, set_quota, set_review

OWN = ("http_", "submits", "process_")
"""How the series begin that are of one process."""

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)  # what Prometheus 3 sends


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invoicing.kit.signal_box.KEPT_S", 0.0)


def values(body: str) -> dict[tuple[str, ...], float]:
    """Read the text: by name, priority and size."""
    return {
        (sample.name.removeprefix("invoicing_"), *sample.labels.values()): sample.value
        for family in plain(body)
        for sample in family.samples
    }


async def read(service: Any) -> dict[tuple[str, ...], float]:
    answer = await service.ops.get("/metrics")
    assert answer.status_code == 200, answer.text
    return values(answer.text)


async def register(service: Any, slots: int) -> None:
    statement = text(
        "INSERT INTO workers (id, host, pid, build, slots, lanes, kinds, beat_at) "
        "VALUES (gen_random_uuid(), 'one', 1, '0', :slots, :lanes, '{drill}', now() + interval '1 h')"
    )
    async with transaction(service.engine) as session:
        await session.execute(statement, {"slots": slots, "lanes": [lane.name for lane in LANES]})


def ours(families: Iterable[Any]) -> list[Any]:
    return [family for family in families if family.name.startswith("invoicing_")]


async def test_it_tells_what_this_process_answered(service: Any) -> None:
    job = await service.acme.job()
    headers = {"Idempotency-Key": "again"}
    request = {"kind": "drill", "payload": {"seconds": 1}}
    for _ in range(2):
        assert (await service.acme.post("/v1/jobs", json=request, headers=headers)).status_code == 202
    assert (await service.acme.post("/v1/jobs", json={"kind": "no"}, headers={"Idempotency-Key": "no"})).is_error
    lines = '{"kind": "drill", "payload": {"seconds": 1}}\n{"kind": "drill", "payload": {"seconds": -1}}\n'
    batch = {"Idempotency-Key": "batch", "Content-Type": "application/x-ndjson"}
    assert (await service.acme.post("/v1/jobs:batch", content=lines, headers=batch)).status_code == 200
    await service.acme.get(f"/v1/jobs/{job['id']}")
    await service.acme.get(f"/v1/jobs/{uuid4()}")
    for nowhere in ("/no/such/thing", f"/{uuid4()}"):
        await service.acme.get(nowhere)
    await service.acme.request("PROPFIND", "/v1/jobs")

    found = await read(service)

    assert found["http_answers_total", "POST", "/v1/jobs", "2xx"] == 3
    assert found["http_answers_total", "POST", "/v1/jobs", "4xx"] == 1
    assert found["http_answers_total", "POST", "/v1/jobs:batch", "2xx"] == 1
    assert found["http_answers_total", "GET", "/v1/jobs/{job_id}", "2xx"] == 1
    assert found["http_answers_total", "GET", "/v1/jobs/{job_id}", "4xx"] == 1
    assert found["http_answers_total", "GET", "elsewhere", "4xx"] == 2
    assert found["http_answers_total", "elsewhere", "/v1/jobs", "4xx"] == 1
    assert found["http_answer_seconds_count", "/v1/jobs"] == 5
    assert found["submits_total", "accepted"] == 3
    assert found["submits_total", "replayed"] == 1
    assert found["submits_total", "bad_input"] == 2
    assert found["http_problems_total", "not_found"] == 3


async def test_it_tells_what_the_ledger_holds(service: Any) -> None:
    await register(service, 8)
    for seconds in (0.25, 0.5, 0.25):
        job = await service.acme.job({"kind": "drill", "payload": {"seconds": seconds}})
    await service.other.job({"kind": "drill", "payload": {"seconds": 100}, "priority": "urgent"})
    await service.hand.start(job["id"])

    found = await read(service)

    assert found["lane_waiting_jobs", "normal", "small"] == 2
    assert found["lane_waiting_work_seconds", "normal", "small"] == pytest.approx(0.75)
    assert found["lane_running_jobs", "normal", "small"] == 1
    assert found["lane_slots", "urgent", "large"] == 6
    assert found["lane_drain_seconds", "urgent", "large"] == pytest.approx(100 / 6)
    assert found["lane_drain_seconds", "bulk", "small"] == 0
    assert (found["workers",], found["slots",]) == (1, 8)
    assert (
        found["slots_wanted",] == 3
    )  # one runs; the long one, due in 30 s, takes one of its own; the short ones are due


async def test_what_was_served_no_longer_waits(service: Any) -> None:
    job = await service.acme.job()
    before = await read(service)
    await service.hand.finish(job["id"])
    after = await read(service)
    assert before["lane_waiting_jobs", "normal", "small"] == 1
    assert before["lane_drain_seconds", "normal", "small"] == float("inf")  # nobody serves it
    assert after["lane_waiting_jobs", "normal", "small"] == 0
    assert after["slots_wanted",] == 0


async def test_it_tells_what_is_not_delivered(service: Any) -> None:
    form = {"url": "https://example.com/hook"}
    made = await service.acme.post("/v1/webhooks", json=form, headers={"Idempotency-Key": "hook"})
    jobs = [await service.acme.job() for _ in range(3)]
    for job in jobs:
        await service.hand.finish(job["id"])
    async with transaction(service.engine) as session:
        await session.execute(text("UPDATE messages SET due_at = now() - interval '5 min'"))
        dead = "UPDATE messages SET state = 'dead', finished_at = now() WHERE job_id = :id"
        await session.execute(text(dead), {"id": jobs[0]["id"]})

    found = await read(service)

    assert (found["outbox_waiting_messages", "webhook"], found["outbox_dead_messages", "webhook"]) == (2, 1)
    assert 300 <= found["outbox_overdue_seconds", "webhook"] < 400
    assert found["outbox_held_endpoints", "webhook"] == 0
    async with transaction(service.engine) as session:
        held = "UPDATE endpoints SET open_until = now() + interval '1 h' WHERE id = :id"
        await session.execute(text(held), {"id": made.json()["id"]})
    found = await read(service)
    assert (found["outbox_overdue_seconds", "webhook"], found["outbox_held_endpoints", "webhook"]) == (0, 1)


async def test_it_tells_what_is_held_and_what_is_down(service: Any) -> None:
    await set_review(service)
    await set_quota(service, most=1)
    reviewed = [await service.acme.job(LARGE) for _ in range(2)]
    first, *_ = [await service.acme.job(SMALL) for _ in range(4)]
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"reason": "it is looked at", "until": until}
    assert (await service.support.post(f"/v1/support/jobs/{first['id']}:pause", json=body)).is_success
    breakers = """
        INSERT INTO dependencies (name, title, opened_at, next_try_at)
        VALUES ('post', 'The post', now(), now()), ('gate', 'The gate', NULL, NULL)
    """
    async with transaction(service.engine) as session:
        await session.execute(text(breakers))
        overdue = text("UPDATE holds SET due = now() - interval '1 s' WHERE job_id = :id")
        await session.execute(overdue, {"id": reviewed[0]["id"]})

    found = await read(service)

    assert (found["held_jobs", "in_review"], found["reviews_overdue",]) == (2, 1)
    assert (found["held_jobs", "awaiting_quota"], found["held_jobs", "paused"]) == (3, 1)
    assert (found["dependency_down", "post"], found["dependency_down", "gate"]) == (1, 0)


async def test_more_customers_make_no_more_series(service: Any) -> None:
    await service.acme.job()
    one = await read(service)
    await service.other.job()
    await service.other.job({"kind": "drill", "payload": {"seconds": 9_000}, "priority": "bulk"})
    several = await read(service)
    of_the_ledger, afterwards = ({key for key in found if not key[0].startswith(OWN)} for found in (one, several))
    assert of_the_ledger == afterwards
    assert len(of_the_ledger) == 6 * len(LANES) + 5 + 4 * len(Channel) + 3
    names = {name for lane in LANES for name in lane.name.split("-")}
    assert {label for key in of_the_ledger for label in key[1:]} == {
        *names,
        *Channel,
        "in_review",
        "awaiting_quota",
        "paused",
    }


async def test_prometheus_is_given_the_format_it_asks_for(service: Any) -> None:
    answer = await service.ops.get("/metrics", headers={"Accept": PROMETHEUS})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert len(list(ours(open_metrics(answer.text)))) == 21  # type: ignore[no-untyped-call]  # the library does not type it
    answer = await service.ops.get("/metrics", headers={"Accept": "text/plain"})
    assert answer.headers["content-type"].startswith("text/plain")
    assert len(list(ours(plain(answer.text)))) == 21


@pytest.mark.parametrize("name", ["acme", "support"])
async def test_it_is_closed_to_others(service: Any, name: str) -> None:
    assert (await getattr(service, name).get("/metrics")).status_code == 403
    async with httpx.AsyncClient(base_url=service.url) as nobody:
        refused = await nobody.get("/metrics")
    assert refused.status_code == 401
    assert "www-authenticate" in refused.headers


async def test_a_monitoring_system_needs_no_key_where_it_has_a_token(service: Any) -> None:
    async def status(given: str) -> int:
        async with httpx.AsyncClient(base_url=service.url) as prometheus:
            return (await prometheus.get("/metrics", headers={"Authorization": given})).status_code

    assert await status("Bearer a-token-of-monitoring") == 200
    assert await status("Bearer a-token-of-monitorinG") == 401
    assert await status("Basic a-token-of-monitoring") == 401
    async with httpx.AsyncClient(base_url=service.url) as prometheus:
        elsewhere = await prometheus.get("/v1/lanes", headers={"Authorization": "Bearer a-token-of-monitoring"})
    assert elsewhere.status_code == 401


async def test_any_number_of_scrapers_cost_one_reading_in_a_second(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invoicing.kit.signal_box.KEPT_S", KEPT_S)
    box = SignalBox(service.engine, read_signals)
    await service.acme.job()
    found = await asyncio.gather(*(box.signals() for _ in range(20)))
    await service.acme.job()
    found.append(await box.signals())
    assert len(set(map(id, found))) == 1
    await asyncio.sleep(KEPT_S)
    assert await box.signals() is not found[0]


async def test_reading_looks_at_no_job_that_waits(service: Any) -> None:
    body = "\n".join(['{"kind": "drill", "payload": {"seconds": 1}}'] * 2_000)
    headers = {"Idempotency-Key": "many", "Content-Type": "application/x-ndjson"}
    assert (await service.acme.post("/v1/jobs:batch", content=body, headers=headers)).status_code == 200
    for _ in range(3):
        await service.hand.start((await service.acme.job())["id"])
    async with service.engine.connect() as session:
        statements = await statements_of(session)
        await session.execute(text("ANALYZE jobs"))
        looked_at = [await rows_of_jobs(session, *statement) for statement in statements]
    assert sum(looked_at) == 3  # those that run


async def statements_of(session: Any) -> list[tuple[str, Sequence[Any]]]:
    """Read the signals, and keep what was asked, with its values."""
    asked: list[tuple[str, Sequence[Any]]] = []

    def keep(_connection: Any, _cursor: Any, statement: str, values: Sequence[Any], *_: Any) -> None:
        asked.append((statement, values))

    event.listen(session.sync_connection, "before_cursor_execute", keep)
    await read_signals(session)
    event.remove(session.sync_connection, "before_cursor_execute", keep)
    return asked


async def rows_of_jobs(session: Any, statement: str, values: Sequence[Any]) -> int:
    """Run a statement and count the rows of the table `jobs` that PostgreSQL went through for it."""
    raw = (await session.get_raw_connection()).driver_connection
    plan = await raw.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values)
    return _rows(plan[0]["Plan"])


def _rows(node: dict[str, Any]) -> int:
    own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0) if node.get("Relation Name") == "jobs" else 0
    return int(own) + sum(map(_rows, node.get("Plans", ())))
