"""Invoices issued per second and core: through the whole service, beside the bare functions in a loop.

The bare loop does the same work (check, judge in both syntaxes, write UBL, CII and PDF) in processes that do nothing
else; what the service adds is what makes it safe: durable accept, ledger, lanes, fenced attempts, files.
"""

import asyncio
import json
import os
import statistics
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import asyncpg
import psutil
from benchmarks.report import Table
from benchmarks.service import Service, running
from benchmarks.surroundings import ROOT, Servers, call, own_mb, resident_mb, servers

from invoicing.invoices import making
from invoicing.invoices.chunks import DRAFT_NUMBER
from invoicing.invoices.payload import InvoicePayload
from invoicing.invoices.totals import Sums, finish

_INVOICES = 120
_LINES = 10
_ROUNDS = 3


def request() -> dict[str, Any]:
    """Make a request of ten lines out of the example."""
    body: dict[str, Any] = json.loads((ROOT / "examples" / "small.json").read_text())
    payload = body["payload"]
    payload.pop("expected", None)
    line = payload["lines"][0]
    payload["lines"] = [{**line, "id": str(place + 1)} for place in range(_LINES)]
    return body


def bare(count: int) -> float:
    """Make so many invoices in a loop; gives CPU seconds per invoice."""
    shop = making.workshop(None)
    payload = InvoicePayload.model_validate(request()["payload"])

    def one() -> None:
        header, lines = payload.to_header(), payload.to_lines()
        totals = finish(Sums.of(lines), header)
        if making.judge_draft(shop, header, lines, totals).faults:
            raise RuntimeError("the example is not valid")
        making.write_files(header, lines, totals, DRAFT_NUMBER)

    for _ in range(5):
        one()
    before = time.process_time()
    for _ in range(count):
        one()
    return (time.process_time() - before) / count


def run() -> Table:
    """Measure the loop, one on each core, then the service."""
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:  # all cores busy, as they are with the service
        alone = statistics.median(pool.map(bare, [_INVOICES // 2] * cores * _ROUNDS))
    with servers() as around, running(around, slots=cores) as service:
        rates, cpu = zip(*(asyncio.run(_through_the_service(service, around)) for _ in range(_ROUNDS)), strict=True)
        memory = {name: (resident_mb(pid), own_mb(pid)) for name, pid in service.pids().items()}
    rate, cpu_s = statistics.median(rates), statistics.median(cpu)
    table = Table(f"Issuing invoices of {_LINES} lines (UBL, CII, PDF, judged), {cores} cores", ("what", "figure", ""))
    table.add(
        "bare functions in a loop on each core",
        f"{1 / alone:.1f} a second and core",
        f"{1000 * alone:.0f} ms of CPU each",
    )
    table.add("the service, wall clock", f"{rate / cores:.1f} a second and core", f"{rate:.1f} a second in all")
    table.add(
        "the service, CPU of its processes", f"{1000 * cpu_s:.0f} ms of CPU each", f"{cpu_s / alone:.2f} x of bare"
    )
    for name, (resident, own) in memory.items():
        table.add(f"memory of {name}", f"{resident:.0f} MB RSS", f"{own:.0f} MB of its own")
    table.add("share of the bare rate", f"{rate / cores * alone:.2f}", "")
    return table


async def _through_the_service(service: Service, around: Servers) -> tuple[float, float]:
    """Submit all at once; gives invoices per second from the first submission to the last end, and CPU s of each."""
    body = request()
    pids = service.pids().values()
    before = _cpu(pids)
    ids = await asyncio.gather(*(asyncio.to_thread(_submit, service.url, around.key, body) for _ in range(_INVOICES)))
    connection = await asyncpg.connect(around.database_url)
    done = "SELECT count(*) FROM jobs WHERE id = ANY($1::uuid[]) AND state = 'succeeded'"
    while await connection.fetchval(done, ids) < _INVOICES:  # noqa: ASYNC110 - another process settles them
        await asyncio.sleep(0.1)
    span = (
        "SELECT extract(epoch FROM max(finished_at) - min(submitted_at))::float8 FROM jobs WHERE id = ANY($1::uuid[])"
    )
    seconds = await connection.fetchval(span, ids)
    await connection.close()
    return _INVOICES / seconds, (_cpu(pids) - before) / _INVOICES


def _submit(url: str, key: str, body: Mapping[str, Any]) -> uuid.UUID:
    return uuid.UUID(call("POST", f"{url}/v1/jobs", key, body, {"Idempotency-Key": str(uuid.uuid4())})["id"])


def _cpu(pids: Any) -> float:  # noqa: ANN401 - any iterable of process ids
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)
