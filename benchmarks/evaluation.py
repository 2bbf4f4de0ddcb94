"""What it costs to judge the jobs there are, with a million waiting beside ten thousand: it must be the same.

Both ledgers are databases of one server and are looked at in turns, so that a slow moment of the machine falls on both.
Nothing is the matter in them but what each round changes. Statistics are fresh: both were analysed after the fill.
"""

import asyncio
import logging
import multiprocessing
import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from statistics import median

import asyncpg
from benchmarks.evaluated import CALLS, Ledger, fill, incidents, opened
from benchmarks.pace import Pace
from benchmarks.report import Table
from benchmarks.surroundings import servers

from invoicing.kit.listen import plain_url

_WARM = 3
"""Rounds that do not count: statements are prepared, caches fill."""

FLAT = 1.3


@dataclass
class Cost:
    """What a call took (seconds), and the statements that it made each time."""

    took_s: list[float] = field(default_factory=list)
    statements: list[int] = field(default_factory=list)

    @property
    def p50_ms(self) -> float:
        """The time that half of them did not exceed (ms)."""
        return 1000 * median(self.took_s)


Costs = Mapping[str, Cost]


def run(pace: Pace) -> Table:
    """Fill two ledgers, and look at them in turns."""
    logging.disable(logging.WARNING)
    with servers() as around:
        urls = asyncio.run(_filled(around.database_url, (pace.waiting, pace.million)))
        few, many = asyncio.run(_measured(urls, pace.rounds))
        memory = [_in_a_process_of_its_own(url) for url in urls]
    counts = [f"{waiting:,}" for waiting in (pace.waiting, pace.million)]
    table = Table(
        f"Cost of evaluation, p50 of {pace.rounds} in turns, statistics fresh",
        ("what", *(f"ms, {count} waiting" for count in counts), "ratio", *(f"statements, {count}" for count in counts)),
    )
    for name, cost in few.items():
        beside = many[name]
        seen = (f"{median(one.statements):g}" for one in (cost, beside))
        table.add(name, f"{cost.p50_ms:.2f}", f"{beside.p50_ms:.2f}", f"{beside.p50_ms / cost.p50_ms:.2f}", *seen)
    table.add("memory of a process that did all of it (MB, at most)", *(f"{one:.0f}" for one in memory), "", "", "")
    for name, cost in few.items():
        table.bar(f"{counts[1]} waiting / {counts[0]}: {name}", many[name].p50_ms / cost.p50_ms, at_most=FLAT)
    table.bar(f"{counts[1]} waiting / {counts[0]}: memory", memory[1] / memory[0], at_most=FLAT)
    return table


async def _filled(url: str, sizes: Sequence[int]) -> list[str]:
    """Make a database of each size from the migrated one that is there."""
    connection = await asyncpg.connect(plain_url(url).rpartition("/")[0] + "/postgres")
    template, urls = url.rpartition("/")[2], []
    for place, waiting in enumerate(sizes):
        await connection.execute(f"CREATE DATABASE evaluation_{place} TEMPLATE {template} STRATEGY FILE_COPY")
        urls.append(f"{url.rpartition('/')[0]}/evaluation_{place}")
        await fill(urls[-1], waiting)
    await connection.close()
    return urls


async def _measured(urls: Sequence[str], rounds: int) -> list[Costs]:
    costs = [{name: Cost() for name in CALLS} for _ in urls]
    async with AsyncExitStack() as stack:
        ledgers = [await stack.enter_async_context(opened(url)) for url in urls]
        both = [*zip(ledgers, costs, strict=True)]
        for number in range(_WARM + rounds):
            for name in CALLS:
                for ledger, found in both if number % 2 else reversed(both):
                    took_s, statements = await _timed(ledger, name)
                    if number >= _WARM:
                        found[name].took_s.append(took_s)
                        found[name].statements.append(statements)
        for ledger in ledgers:
            if await incidents(ledger):
                raise RuntimeError("something is the matter in a ledger where all should be well")
    return [*costs]


async def _timed(ledger: Ledger, name: str) -> tuple[float, int]:
    await CALLS[name].ready(ledger)
    ledger.statements.clear()
    began = time.perf_counter()
    await CALLS[name].do(ledger)
    return time.perf_counter() - began, len(ledger.statements)


def _in_a_process_of_its_own(url: str) -> float:
    """Have everything done in a new process; gives what it needed (MB)."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_needed, [url])


def _needed(url: str) -> float:
    logging.disable(logging.WARNING)
    asyncio.run(_measured([url], _WARM))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
