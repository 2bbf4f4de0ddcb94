"""Submitting: accepted means kept and visible; a repeated request is the same job; a wrong one is told why."""

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text

from invoicing.kit.problems import Finding


async def test_a_202_is_in_the_list_at_once(service: Any) -> None:
    for _ in range(50):
        job = (await service.acme.submit()).json()
        assert (await service.acme.get("/v1/jobs?page_size=1")).json()["items"][0]["id"] == job["id"]


async def test_the_answer_is_the_whole_job_with_its_address(acme: Any) -> None:
    answer = await acme.submit({"kind": "drill", "payload": {"seconds": 2}, "reference": "PO-7", "priority": "urgent"})
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["etag"] == '"1"'
    assert (job["state"], job["reference"], job["customer"]) == ("queued", "PO-7", "acme")
    assert job["lane"] == {"priority": "urgent", "size": "medium"}
    assert job["promise"]["status"] == "on_track"
    assert job["cause"]["code"]
    due = datetime.fromisoformat(job["promise"]["due"]) - datetime.fromisoformat(job["submitted_at"])
    assert due.total_seconds() == 900
    read = (await acme.get(answer.headers["location"])).json()
    assert read.keys() == job.keys()
    judged = {"cause", "position", "eta"}  # said anew at every look
    assert {**read, **dict.fromkeys(judged)} == {**job, **dict.fromkeys(judged)}


async def test_what_was_sent_is_kept_byte_for_byte(service: Any) -> None:
    body = b'{ "kind" : "drill",\n "payload": {"seconds": 1.50} }'
    headers = {"Idempotency-Key": "bytes", "Content-Type": "application/json"}
    job = (await service.acme.post("/v1/jobs", content=body, headers=headers)).json()
    async with service.engine.connect() as session:
        row = await session.execute(text("SELECT body FROM payload_parts WHERE job_id = :id"), {"id": job["id"]})
        assert bytes(row.scalar_one()) == body


async def test_the_same_key_and_body_give_the_same_job_in_its_present_state(service: Any) -> None:
    first = await service.acme.submit(key="same")
    await service.hand.finish(first.json()["id"])
    again = await service.acme.submit(key="same")
    assert again.status_code == 202
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (again.json()["id"], again.json()["state"]) == (first.json()["id"], "succeeded")


async def test_the_same_key_with_another_body_is_refused(acme: Any) -> None:
    await acme.job(key="same")
    answer = await acme.submit({"kind": "drill", "payload": {"seconds": 9}}, key="same")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_two_customers_may_use_the_same_key(service: Any) -> None:
    mine, theirs = await service.acme.job(key="same"), await service.other.job(key="same")
    assert mine["id"] != theirs["id"]


async def test_twenty_connections_with_one_key_at_once_make_one_job(service: Any) -> None:
    for attempt in range(5):
        answers = await asyncio.gather(*(service.acme.submit(key=f"at-once-{attempt}") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert len((await service.acme.get("/v1/jobs")).json()["items"]) == 5


async def test_two_bodies_with_one_key_at_once_make_one_job_and_one_refusal(acme: Any) -> None:
    bodies = [{"kind": "drill", "payload": {"seconds": seconds}} for seconds in (1, 2)]
    answers = await asyncio.gather(*(acme.submit(body, key="race") for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [202, 422]


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"kind": "drill", "payload": {"seconds": -1}}, "/payload/seconds", "greater_than_equal"),
        ({"kind": "drill", "payload": {"seconds": "1"}}, "/payload/seconds", "float_type"),
        ({"kind": "drill", "payload": {"chunks": True}}, "/payload/chunks", "int_type"),
        ({"kind": "drill", "payload": {}, "colour": 1}, "/colour", "extra_forbidden"),
        ({"kind": "drill"}, "/payload", "missing"),
        ({"payload": {}}, "/kind", "missing"),
        ({"kind": "nope", "payload": {}}, "/kind", "unknown_kind"),
        ({"kind": "drill", "payload": {}, "deadline": "tomorrow"}, "/deadline", "datetime_parsing"),
        ({"kind": "drill", "payload": {}, "deadline": "2026-12-01T10:00:00"}, "/deadline", "timezone_aware"),
        ({"kind": "drill", "payload": {}, "deadline": "9999-12-31T23:59:59Z"}, "/deadline", "time_out_of_reach"),
        ({"kind": "drill", "payload": {}, "reference": ""}, "/reference", "string_too_short"),
        ({"kind": "drill", "payload": {}, "reference": "a\nb"}, "/reference", "string_pattern_mismatch"),
        ({"kind": "drill", "payload": {}, "webhook": "file:///etc/passwd"}, "/webhook", "string_pattern_mismatch"),
        ({"kind": "drill", "payload": {}, "priority": "now"}, "/priority", "enum"),
    ],
)
async def test_a_wrong_request_names_the_field_and_the_rule(acme: Any, body: Any, field: str, code: str) -> None:
    answer = await acme.submit(body)
    problem = answer.json()
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["code"], problem["field"]) == ("bad_input", field)
    assert [(one["field"], one["code"]) for one in problem["errors"]] == [(field, code)]
    assert problem["remedy"]
    assert problem["support_reference"] == answer.headers["support-reference"]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b'{"kind": "drill",\n "payload": }', 400, "line 2, column 13"),
        (b'{"kind": "dr\xffll"}', 400, "unicode"),
        (b"", 400, "EOF"),
        (b"[" * 500 + b"]" * 500, 400, "recursion"),
        (b'{"kind": "drill", "payload": {"chunks": ' + b"9" * 5000 + b"}}", 400, "number out of range"),
        (b'{"kind": "drill", "payload": {"seconds": 1e999}}', 422, "/payload/seconds"),
        (b'{"kind": "drill", "payload": {"mode": "\\u0000"}}', 422, "U+0000"),
        (b'{"kind": "drill", "payload": {"mode": "\\ud800"}}', 400, "hex escape"),
        (b"[]", 422, "object"),
    ],
)
async def test_a_hostile_body_is_refused_in_words(acme: Any, body: bytes, status: int, told: str) -> None:
    headers = {"Idempotency-Key": "hostile", "Content-Type": "application/json"}
    answer = await acme.post("/v1/jobs", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert told in answer.json()["detail"]


async def test_an_escaped_backslash_before_u0000_is_no_nul(acme: Any) -> None:
    body = json.dumps({"kind": "drill", "payload": {}, "reference": "\\u0000"})
    assert b"\\\\u0000" in body.encode()
    answer = await acme.post(
        "/v1/jobs", content=body, headers={"Idempotency-Key": "nul", "Content-Type": "application/json"}
    )
    assert answer.json()["reference"] == "\\u0000"


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 256])
async def test_a_key_must_be_given_and_be_visible(acme: Any, key: str) -> None:
    answer = await acme.post("/v1/jobs", json={}, headers=[(b"Idempotency-Key", key.encode("latin-1"))])
    assert answer.status_code == 400
    assert answer.json()["field"] == "/headers/Idempotency-Key"
    if not key:
        assert answer.json()["code"] == "idempotency_key_missing"


async def test_a_request_is_replayed_although_it_would_be_refused_today(service: Any) -> None:
    first = await service.acme.job(key="earlier")
    reception = next(route for route in service.app.routes if route.name == "submit").endpoint.__self__
    kind = reception.submissions.kinds["drill"]
    try:
        object.__setattr__(kind, "check", _refuse_all)
        assert (await service.acme.submit(key="later")).status_code == 422
        assert (await service.acme.submit(key="earlier")).json()["id"] == first["id"]
    finally:
        object.__setattr__(kind, "check", _accept_all)


def _refuse_all(_payload: Any) -> Any:
    return [Finding("no_longer", "/seconds", "No longer.")]


def _accept_all(_payload: Any) -> Any:
    return ()
