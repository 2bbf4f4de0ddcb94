"""Submitting many at once: an answer for each line, in order, and a bad line fails alone."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from invoicing.jobs.submission import Submission, Submissions

LINE = {"kind": "drill", "payload": {"seconds": 1}}
KEY = {"Idempotency-Key": "a"}
NDJSON = {"Content-Type": "application/x-ndjson"}


async def batch(client: Any, lines: list[Any], key: str = "batch", end: bytes = b"\n") -> list[dict[str, Any]]:
    body = end.join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    headers = {**NDJSON, "Idempotency-Key": key}
    answer = await client.post("/v1/jobs:batch", content=body, headers=headers, timeout=120)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def insist(client: Any, lines: list[Any]) -> list[dict[str, Any]]:
    """Send a batch again while a line is told to come again: to a busy machine the ledger is away for a moment."""
    told = await batch(client, lines)
    while any(one["status"] == 503 for one in told):
        told = await batch(client, lines)
    return told


async def test_every_line_is_answered_in_order_and_a_bad_one_fails_alone(acme: Any) -> None:
    lines = [LINE, b"{", b"", {**LINE, "colour": 1}, b'{"kind": "drill", "payload": {"mode": "\\u0000"}}', LINE]
    told = await batch(acme, lines)
    assert [(one["line"], one["status"]) for one in told] == [(1, 202), (2, 400), (4, 422), (5, 422), (6, 202)]
    assert not told[0]["replayed"]
    assert told[2]["problem"]["field"] == "/colour"
    listed = [job["id"] for job in (await acme.get("/v1/jobs")).json()["items"]]
    assert listed == [told[4]["job"]["id"], told[0]["job"]["id"]]


async def test_ten_thousand_lines_become_ten_thousand_jobs_and_again_the_same(service: Any) -> None:
    lines = [{**LINE, "reference": str(number)} for number in range(10_000)]
    first = await insist(service.acme, lines)
    again = await insist(service.acme, lines)
    assert [one["job"]["reference"] for one in first] == [str(number) for number in range(10_000)]
    assert [one["job"]["id"] for one in again] == [one["job"]["id"] for one in first]
    assert all(one["replayed"] for one in again)
    async with service.engine.connect() as session:
        assert (await session.exec_driver_sql("SELECT count(*) FROM jobs")).scalar_one() == 10_000


async def test_others_get_their_turn_between_two_lines(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    turns, seen, read = 0, [], Submissions.read

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def noted(submissions: Submissions, body: bytes) -> Submission:
        seen.append(turns)
        return read(submissions, body)

    monkeypatch.setattr(Submissions, "read", noted)
    other_request = asyncio.create_task(other())
    await batch(acme, [LINE] * 20)
    other_request.cancel()
    assert len(seen) == 20
    assert all(later > earlier for earlier, later in pairwise(seen))


async def test_more_lines_are_refused_before_any_is_accepted(acme: Any) -> None:
    answer = await acme.post(
        "/v1/jobs:batch",
        content=b'{"kind": "drill", "payload": {}}\n' * 10_001,
        headers={**NDJSON, "Idempotency-Key": "a"},
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert (await acme.get("/v1/jobs")).json()["items"] == []


async def test_a_line_may_have_a_key_of_its_own(acme: Any) -> None:
    mine = {**LINE, "idempotency_key": "mine"}
    told = await batch(acme, [mine, mine, {**mine, "reference": "other"}], end=b"\r\n")
    assert told[0]["job"]["id"] == told[1]["job"]["id"]
    assert sorted([told[0]["replayed"], told[1]["replayed"]]) == [False, True]
    assert (told[2]["status"], told[2]["problem"]["code"]) == (422, "idempotency_key_reused")


async def test_a_line_that_is_too_long_fails_alone(acme: Any) -> None:
    told = await batch(acme, [LINE, b'"' + b"x" * 300_000 + b'"', LINE])
    assert [(one["line"], one["status"]) for one in told] == [(1, 202), (2, 413), (3, 202)]


async def test_a_batch_needs_a_key_and_its_media_type(acme: Any) -> None:
    assert (await acme.post("/v1/jobs:batch", content=b"", headers=NDJSON)).status_code == 400
    answer = await acme.post(
        "/v1/jobs:batch", content=b"", headers={"Idempotency-Key": "a", "Content-Type": "text/csv"}
    )
    assert answer.status_code == 415
    empty = await acme.post("/v1/jobs:batch", content=b"\n", headers={**NDJSON, "Idempotency-Key": "a"})
    assert empty.status_code == 400
