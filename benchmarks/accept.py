"""Durable accepts per second over HTTP, 64 connections: one POST, one committed job.

The server, PostgreSQL and the load share the machine's cores, as PEERS of this project were measured. Every variant is
loaded in turn, several times over, so that a slow minute of the machine falls on all of them.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from typing import Any

import asyncpg
from benchmarks.report import Table
from benchmarks.surroundings import ROOT, Servers, servers, web

_CONNECTIONS = 64
_SECONDS = 4.0
_ROUNDS = 3
_VARIANTS = {
    "no-op through the same route": "benchmarks.peers.noop_accept:app",
    "invoicing": "benchmarks.peers.our_accept:app",
    "ORM session per request": "benchmarks.peers.orm_accept:app",
}
BODY = {"kind": "drill", "reference": "PO-7", "payload": {"seconds": 1, "chunks": 2, "mode": "sleep"}}
"""A thin request, as the bars are set for one; an invoice of ten lines is measured beside it."""


def run() -> Table:
    """Measure every variant."""
    with servers() as around:
        body = around.folder / "body.json"
        body.write_text(json.dumps(BODY))
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in _VARIANTS}
        for _ in range(_ROUNDS):
            for name, app in _VARIANTS.items():
                with web(app, around) as url:
                    load(url, around, 1.0, str(body))
                    found[name].append(load(url, around, _SECONDS, str(body)))
        invoice = around.folder / "invoice.json"
        invoice.write_bytes((ROOT / "examples" / "small.json").read_bytes())
        with web(_VARIANTS["invoicing"], around) as url:
            load(url, around, 1.0, str(invoice))
            small_invoice = load(url, around, _SECONDS, str(invoice))
        limit = asyncio.run(_physical_limit(around.database_url))
    return _table(found, small_invoice, limit)


def load(url: str, around: Servers, seconds: float, body: str) -> dict[str, Any]:
    """Load a server and give what came back; anything but 202 is an error of the measurement."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.load",
        f"{url}/v1/jobs",
        str(seconds),
        str(_CONNECTIONS),
        around.key,
        body,
    ]
    told = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, text=True)
    result: dict[str, Any] = json.loads(told.stdout)
    if set(result["statuses"]) != {"202"}:
        raise RuntimeError(f"not every answer was 202: {result['statuses']}")
    return result


async def _physical_limit(url: str) -> float:
    """Rows per second that 16 connections can commit one by one, without HTTP or Python's share of a request."""
    connections = await asyncio.gather(*(asyncpg.connect(url) for _ in range(16)))
    await connections[0].execute("CREATE TABLE limit_rows (id bigserial PRIMARY KEY, body text)")
    until = time.perf_counter() + _SECONDS
    body = json.dumps(BODY)

    async def insert(connection: "asyncpg.Connection[Any]") -> int:
        count = 0
        while time.perf_counter() < until:
            await connection.execute("INSERT INTO limit_rows (body) VALUES ($1)", body)
            count += 1
        return count

    total = sum(await asyncio.gather(*(insert(connection) for connection in connections)))
    await asyncio.gather(*(connection.close() for connection in connections))
    return total / _SECONDS


def _table(found: dict[str, list[dict[str, Any]]], small_invoice: dict[str, Any], limit: float) -> Table:
    rate = {name: statistics.median(run["per_second"] for run in runs) for name, runs in found.items()}
    ours = rate["invoicing"]
    table = Table(
        "Durable accepts over HTTP, 64 connections", ("variant", "per second", "p50 ms", "p99 ms", "ours is x of it")
    )
    for name, runs in found.items():
        p50 = statistics.median(run["p50_ms"] for run in runs)
        p99 = statistics.median(run["p99_ms"] for run in runs)
        table.add(name, f"{rate[name]:,.0f}", f"{p50:.1f}", f"{p99:.1f}", f"{ours / rate[name]:.2f}")
    table.add(
        "invoicing, a small invoice checked by its rules",
        f"{small_invoice['per_second']:,.0f}",
        f"{small_invoice['p50_ms']:.1f}",
        f"{small_invoice['p99_ms']:.1f}",
        "",
    )
    table.add("limit: 16 connections, one row a commit, no HTTP", f"{limit:,.0f}", "", "", f"{ours / limit:.2f}")
    table.bar("x of the no-op through the same route", ours / rate["no-op through the same route"], at_least=0.65)
    table.bar("x of an ORM session per request", ours / rate["ORM session per request"], at_least=6.0)
    return table
