"""Large requests: spooled, checked in a child process, split into parts; wrong items are named by their place."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from invoicing.jobs.kinds import Streamed
from workers.kinds.invoice_issue import KIND

LINE = dict(KIND.example["lines"][0])
assert KIND.streamed is not None
STREAMED: Streamed = KIND.streamed


def invoice(lines: int, **changed: Any) -> dict[str, Any]:
    payload = {name: value for name, value in KIND.example.items() if name != "expected"}
    return {
        "kind": "invoice.issue",
        "payload": {**payload, "lines": [{**LINE, "id": str(number)} for number in range(lines)], **changed},
    }


async def parts(service: Any, job_id: str) -> list[tuple[int, int, Any]]:
    async with service.engine.connect() as session:
        rows = await session.execute(
            text("SELECT part, item_count, body FROM payload_parts WHERE job_id = :id ORDER BY part"), {"id": job_id}
        )
        return [(row.part, row.item_count, json.loads(row.body)) for row in rows]


@pytest.mark.parametrize("lines", [STREAMED.whole_up_to + 1, 2 * STREAMED.part_size, 3_000])
async def test_a_large_request_is_stored_in_parts_that_are_the_whole(service: Any, lines: int) -> None:
    sent = invoice(lines)
    job = await service.acme.job(sent)
    stored = await parts(service, job["id"])
    assert stored[0][2] == {**sent, "payload": {**sent["payload"], "lines": []}}
    assert [line for _, _, part in stored[1:] for line in part] == sent["payload"]["lines"]
    assert [number for number, _, _ in stored] == list(range(len(stored)))
    assert all(count == len(part) <= STREAMED.part_size for _, count, part in stored[1:])
    assert job["lane"]["size"] != "small"


async def test_a_request_of_few_items_is_kept_whole_however_long_they_are(service: Any) -> None:
    sent = invoice(100)
    for line in sent["payload"]["lines"]:
        line["note"] = "x" * 3_900
    assert len(json.dumps(sent)) > 300_000
    job = await service.acme.job(sent)
    assert await parts(service, job["id"]) == [(0, 0, sent)]


async def test_a_large_request_replays_like_any_other(acme: Any) -> None:
    first = await acme.submit(invoice(3_000), key="large")
    again = await acme.submit(invoice(3_000), key="large")
    other = await acme.submit(invoice(3_001), key="large")
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (first.json()["id"], "true")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_the_same_large_request_at_once_makes_one_job(acme: Any) -> None:
    answers = await asyncio.gather(*(acme.submit(invoice(1_000), key="at-once") for _ in range(6)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_wrong_items_are_named_by_their_place_in_the_whole(acme: Any) -> None:
    sent = invoice(3_000)
    sent["payload"]["lines"][1_234]["price"] = 1.5
    del sent["payload"]["lines"][2_999]["name"]
    answer = await acme.submit(sent)
    assert answer.status_code == 422
    told = [one["field"] for one in answer.json()["errors"]]
    assert told == ["/payload/lines/1234/price", "/payload/lines/2999/name"]


async def test_the_findings_of_a_hopeless_request_are_few(acme: Any) -> None:
    sent = invoice(3_000)
    for line in sent["payload"]["lines"]:
        line["price"] = "dear"
    assert len((await acme.submit(sent)).json()["errors"]) == 50


async def test_the_header_of_a_large_request_is_checked_too(acme: Any) -> None:
    answer = await acme.submit(invoice(3_000, currency="EURO", colour=1))
    told = {one["field"] for one in answer.json()["errors"]}
    assert told == {"/payload/currency", "/payload/colour"}


async def test_the_document_of_a_large_request_is_checked_too(acme: Any) -> None:
    answer = await acme.submit(invoice(3_000, expected={"payable": "1.00"}))
    assert answer.status_code == 422
    assert answer.json()["field"].startswith("/payload/expected")


def _spoilt() -> Iterator[tuple[str, tuple[bytes, str]]]:
    whole = json.dumps(invoice(3_000)).encode()
    yield "an item breaks off", (whole.replace(b'"id": "2000"', b'"id": "2000'), "not valid JSON")
    yield "an item is no JSON", (whole.replace(b'"id": "2000"', b'"id": 00'), "the item here is wrong")
    yield "the end is missing", (whole[:-20], "not valid JSON")
    yield "something follows", (whole + b"}", "not valid JSON")
    yield "two fields of a name", (whole.replace(b'"series":', b'"lines": [], "series":'), "given twice")
    yield "items without a comma", (whole.replace(b'}, {"id": "2000"', b'} {"id": "2000"'), "comma")
    yield "a NUL", (whole.replace(b'"id": "2000"', b'"id": "\\u0000"'), "U+0000")
    yield (
        "nested too deeply",
        (whole.replace(b'"id": "2000"', b'"id": ' + b"[" * 300 + b"]" * 300), "nested too deeply"),
    )
    yield "wrong UTF-8", (whole.replace(b'"id": "2000"', b'"id": "\xff"'), "not valid JSON")


SPOILT = dict(_spoilt())


@pytest.mark.parametrize("what", SPOILT)
async def test_a_spoilt_large_body_is_refused_in_words(acme: Any, what: str) -> None:
    body, told = SPOILT[what]
    headers = {"Idempotency-Key": "spoilt", "Content-Type": "application/json"}
    answer = await acme.post("/v1/jobs", content=body, headers=headers)
    assert answer.status_code in {400, 422}, what
    assert told in answer.json()["detail"]
    assert (await acme.get("/v1/jobs")).json()["items"] == []


async def _endless(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65_536):
        yield b" " * 65_536


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_over_the_limit_is_refused(acme: Any, chunked: bool) -> None:  # noqa: FBT001 - a case, not a flag
    size = 9 * 1024 * 1024
    headers = {"Idempotency-Key": "huge", "Content-Type": "application/json"}
    content = _endless(size) if chunked else b" " * size
    answer = await acme.post("/v1/jobs", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
