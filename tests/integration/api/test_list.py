"""Listing: newest first, page by page, each job once; a token belongs to its owner and its filters."""

import asyncio
from typing import Any

import pytest


async def walk(client: Any, query: str = "") -> list[str]:
    found, token = [], None
    while True:
        params = dict(pair.split("=", 1) for pair in query.split("&") if pair)
        if token:
            params["page_token"] = token
        page = (await client.get("/v1/jobs", params=params)).json()
        found += [job["id"] for job in page["items"]]
        token = page["next_page_token"]
        if token is None:
            return found


async def test_pages_give_every_job_once_newest_first(service: Any) -> None:
    jobs = [(await service.acme.job())["id"] for _ in range(23)]
    await service.other.job()
    for size in (1, 5, 22, 23, 24, 200):
        assert await walk(service.acme, f"page_size={size}") == jobs[::-1]


async def test_a_job_that_comes_meanwhile_repeats_none(acme: Any) -> None:
    jobs = [(await acme.job())["id"] for _ in range(4)]
    first = (await acme.get("/v1/jobs?page_size=2")).json()
    await acme.job()
    second = (await acme.get("/v1/jobs", params={"page_size": 2, "page_token": first["next_page_token"]})).json()
    assert [job["id"] for job in first["items"] + second["items"]] == jobs[::-1]


async def test_filters_hold_on_every_page(service: Any) -> None:
    acme = service.acme
    drill = {"kind": "drill", "payload": {}}
    red = [(await acme.job({**drill, "reference": "red"}))["id"] for _ in range(3)]
    blue = [(await acme.job({**drill, "reference": "blue"}))["id"] for _ in range(3)]
    await service.hand.finish(red[0])
    assert await walk(acme, "reference=red&page_size=1") == red[::-1]
    assert await walk(acme, "state=succeeded") == red[:1]
    assert sorted(await walk(acme, "state=queued,succeeded&page_size=2")) == sorted(red + blue)
    assert await walk(acme, "kind=invoice.issue") == []
    since = (await acme.get(f"/v1/jobs/{blue[1]}")).json()["submitted_at"]
    assert await walk(acme, f"since={since}&page_size=1") == [blue[2], blue[1]]
    both = (await acme.get("/v1/jobs", params=[("state", "queued"), ("state", "succeeded")])).json()["items"]
    assert len(both) == 6


async def test_page_size_is_brought_into_its_bounds(acme: Any) -> None:
    await asyncio.gather(*(acme.job() for _ in range(3)))
    for size, expected in [("0", 1), ("-5", 1), ("2", 2), ("100000000000000000000000000", 3)]:
        assert len((await acme.get(f"/v1/jobs?page_size={size}")).json()["items"]) == expected
    assert (await acme.get("/v1/jobs?page_size=many")).status_code == 400


async def test_a_token_is_refused_when_damaged_or_anothers_or_with_other_filters(service: Any) -> None:
    for client in (service.acme, service.other):
        for _ in range(3):
            await client.job({"kind": "drill", "payload": {}, "reference": "red"})
    page = (await service.acme.get("/v1/jobs?page_size=1&reference=red")).json()
    token = page["next_page_token"]
    assert (await service.acme.get("/v1/jobs", params={"page_token": token, "reference": "red"})).status_code == 200
    refused = [
        (service.acme, {"page_token": token, "reference": "blue"}),
        (service.acme, {"page_token": token, "state": "queued"}),
        (service.acme, {"page_token": token[:-1]}),
        (service.acme, {"page_token": token[:20] + ("A" if token[20] != "A" else "B") + token[21:]}),
        (service.acme, {"page_token": "x" * 5000}),
        (service.other, {"page_token": token}),
    ]
    for client, params in refused:
        answer = await client.get("/v1/jobs", params=params)
        assert (answer.status_code, answer.json()["field"]) == (400, "/query/page_token")


WRONG = ["state=lost", "since=yesterday", "since=2026-01-01", "reference=%00", "kind=" + "x" * 201]


@pytest.mark.parametrize("query", WRONG)
async def test_a_wrong_filter_is_named(acme: Any, query: str) -> None:
    answer = await acme.get(f"/v1/jobs?{query}")
    assert (answer.status_code, answer.json()["field"]) == (400, f"/query/{query.split('=', maxsplit=1)[0]}")
