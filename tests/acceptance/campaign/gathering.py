"""What is there after a campaign, read over HTTP with the customers' keys and in SQL from the tables themselves."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

import asyncpg
import httpx

from .observed import Attempt, Entry, File, Job, Series

_AT_ONCE = 4
_PAGE = 200

_NUMBER_AT = {
    "invoice.ubl.xml": "{urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2}ID",
    "invoice.cii.xml": "{*}ExchangedDocument/{*}ID",
}
"""Where an invoice's number (BT-1) stands in each syntax."""

_JOBS = """
SELECT j.id::text, c.slug AS customer, j.kind, j.state, j.revision, j.attempt, j.lease_until IS NOT NULL AS leased,
    extract(epoch FROM j.finished_at)::float8 AS finished_at, j.result->>'number' AS number,
    (SELECT coalesce(array_agg(k.key), '{}') FROM idempotency_keys k WHERE k.job_id = j.id) AS keys,
    (SELECT count(*)::int FROM payload_parts p WHERE p.job_id = j.id) AS parts
FROM jobs j JOIN customers c ON c.id = j.customer_id ORDER BY j.id
"""
_TIMELINE = """
SELECT job_id::text, seq, event, state, attempt, extract(epoch FROM at)::float8 AS at FROM timeline ORDER BY job_id, seq
"""
_ATTEMPTS = """
SELECT job_id::text, number, outcome, extract(epoch FROM started_at)::float8 AS started_at,
    extract(epoch FROM ended_at)::float8 AS ended_at, error->>'code' AS error
FROM attempts ORDER BY job_id, number
"""
_FILES = "SELECT job_id::text, name, CASE WHEN complete THEN sha256 END AS sha256 FROM artifacts"
_SERIES = """
SELECT c.slug AS customer, s.series, s.last,
    coalesce(array_agg((i.number, i.job_id::text, i.issued_at IS NOT NULL)) FILTER (WHERE i.number IS NOT NULL), '{}')
        AS numbered
FROM number_series s JOIN customers c ON c.id = s.customer_id
LEFT JOIN invoices i ON i.customer_id = s.customer_id AND i.seller = s.seller AND i.series = s.series
GROUP BY c.slug, s.series, s.seller, s.last
"""
_LOOSE = """
SELECT (SELECT count(*) FROM idempotency_keys k WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = k.job_id)),
    (SELECT count(*) FROM payload_parts p WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = p.job_id)),
    (SELECT count(*) FROM timeline t WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = t.job_id)),
    (SELECT count(*) FROM attempts a WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = a.job_id)),
    (SELECT count(*) FROM artifacts a WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = a.job_id))
"""
_COUNTED = """
SELECT (coalesce((SELECT sum(waiting) FROM tallies), 0) + coalesce((SELECT sum(waiting) FROM tally_changes), 0))::int
"""
_UNTOLD = "SELECT count(*)::int FROM messages WHERE state = 'waiting'"
_WAITING = "SELECT count(*)::int FROM jobs WHERE state NOT IN ('succeeded', 'dead', 'cancelled')"


class Ledger:
    """The tables, read without any of the service's code."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        """Read over a connection."""
        self._connection = connection

    async def unfinished(self) -> int:
        """Count jobs that have not ended."""
        return int(await self._connection.fetchval(_WAITING))

    async def untold(self) -> int:
        """Count messages that have not been delivered."""
        return int(await self._connection.fetchval(_UNTOLD))

    async def counted_waiting(self) -> int:
        """Give what the ledger counts as waiting."""
        return int(await self._connection.fetchval(_COUNTED))

    async def loose(self) -> dict[str, int]:
        """Count rows without their job."""
        tables = ("idempotency_keys", "payload_parts", "timeline", "attempts", "artifacts")
        return dict(zip(tables, await self._connection.fetchrow(_LOOSE) or (), strict=True))

    async def series(self) -> list[Series]:
        """Read the number series."""
        return [
            Series(row["customer"], row["series"], row["last"], [tuple(one) for one in row["numbered"]])
            for row in await self._connection.fetch(_SERIES)
        ]

    async def jobs(self) -> list[Mapping[str, Any]]:
        """Read the jobs, each with its `timeline`, `attempts` and `files`."""
        timeline: dict[str, list[Entry]] = defaultdict(list)
        attempts: dict[str, list[Attempt]] = defaultdict(list)
        files: dict[str, dict[str, str | None]] = defaultdict(dict)
        for row in await self._connection.fetch(_TIMELINE):
            timeline[row["job_id"]].append(Entry(row["seq"], row["event"], row["state"], row["attempt"], row["at"]))
        for row in await self._connection.fetch(_ATTEMPTS):
            job_id, *rest = row
            attempts[job_id].append(Attempt(*rest))
        for row in await self._connection.fetch(_FILES):
            files[row["job_id"]][row["name"]] = row["sha256"]
        return [
            dict(row) | {"timeline": timeline[row["id"]], "attempts": attempts[row["id"]], "files": files[row["id"]]}
            for row in await self._connection.fetch(_JOBS)
        ]


async def told_jobs(client: httpx.AsyncClient, keys: Mapping[str, str], kept: Sequence[Mapping[str, Any]]) -> list[Job]:
    """Ask the API about each job that the ledger keeps, with its customer's key."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def told(row: Mapping[str, Any]) -> Job:
        async with places:
            return await _told(client, {"Authorization": f"Bearer {keys[row['customer']]}"}, row)

    return list(await asyncio.gather(*(told(row) for row in kept)))


async def _told(client: httpx.AsyncClient, headers: Mapping[str, str], row: Mapping[str, Any]) -> Job:
    path = f"/v1/jobs/{row['id']}"
    answer = await client.get(path, headers=headers)
    shown = answer.json() if answer.status_code == 200 else {"state": None, "artifacts": []}
    stated = {one["name"]: one["sha256"] for one in shown["artifacts"]}
    files = [
        await _file(client, headers, path, name, stated.get(name), row["files"].get(name))
        for name in sorted({*stated, *row["files"]})
    ]
    return Job(
        **{name: row[name] for name in ("id", "customer", "kind", "state", "revision", "attempt", "keys", "parts")},
        **{name: row[name] for name in ("timeline", "attempts", "number", "leased", "finished_at")},
        shown=shown["state"],
        told=await _told_timeline(client, headers, path),
        files=files,
    )


async def _told_timeline(
    client: httpx.AsyncClient, headers: Mapping[str, str], path: str
) -> list[tuple[int, str, str]]:
    told: list[tuple[int, str, str]] = []
    asked: dict[str, str | int] = {"page_size": _PAGE}
    while True:
        page = (await client.get(f"{path}/events", headers=headers, params=asked)).raise_for_status().json()
        told += [(one["seq"], one["event"], one["state"]) for one in page["items"]]
        if page["next_page_token"] is None:
            return told
        asked["page_token"] = page["next_page_token"]


async def _file(
    client: httpx.AsyncClient, headers: Mapping[str, str], path: str, name: str, shown: str | None, kept: str | None
) -> File:
    answer = (await client.get(f"{path}/artifacts/{name}", headers=headers)).raise_for_status()
    tag = answer.headers.get("etag")
    number = None
    if kept is not None and name in _NUMBER_AT:
        number = ET.fromstring(answer.content).findtext(_NUMBER_AT[name])
    return File(
        name, shown, kept, None if tag is None else tag.strip('"'), hashlib.sha256(answer.content).hexdigest(), number
    )
