"""One customer submits 50,000 small jobs at once: how long the small jobs of all others wait."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
from benchmarks.pace import Pace
from benchmarks.report import Table
from benchmarks.service import Service, running
from benchmarks.submitting import Body, Sender, at_random
from benchmarks.surroundings import Servers, keys_of, servers
from benchmarks.waits import Wait, at, shown, waits_of

SLOTS = 4
OTHERS = 20
BRIEF_S = 0.04
"""What a job takes. It waits rather than burns, so that on two cores the slots are what is short, as in the simulation,
and not the processor."""

LOAD = 0.4
KEYS = 10
_BODY: Body = {"kind": "bench.brief", "payload": {"seconds": BRIEF_S}}


@dataclass(frozen=True)
class Flood:
    """What others waited beside a flood, how many of its jobs were taken in, and how many ended meanwhile."""

    waits: Sequence[Wait]
    accepted: int
    ended: int


def run(pace: Pace) -> Table:
    """Measure without a flood, then each kind of flood, each with fresh servers and processes."""
    floods = {
        "nobody floods": _flooded(pace, 0, "normal", 1),
        "one customer, one key": _flooded(pace, pace.backlog, "normal", 1),
        "the same, all urgent": _flooded(pace, pace.backlog, "urgent", 1),
        f"the same, split over {KEYS} keys": _flooded(pace, pace.backlog, "normal", KEYS),
    }
    table = Table(
        f"Small jobs of {OTHERS} customers ({LOAD:.0%} load, {BRIEF_S:g} s each, {SLOTS} slots) beside a flood of "
        f"{pace.backlog:,} of the same, during its first {pace.crowd_s:g} s",
        ("what", "p50 ms", "p99 ms", "jobs", "flood accepted", "of it ended meanwhile"),
    )
    for name, flood in floods.items():
        table.add(
            name,
            shown(flood.waits, 0.5),
            shown(flood.waits, 0.99),
            str(len(flood.waits)),
            f"{flood.accepted:,}",
            f"{flood.ended:,}",
        )
    for name, flood in floods.items():
        table.bar(f"p99 (s) of the others' wait: {name}", at(flood.waits, 0.99) / 1000, at_most=2)
    return table


def _flooded(pace: Pace, jobs: int, priority: str, keys: int) -> Flood:
    with servers() as around, running(around, SLOTS) as service:
        return asyncio.run(_measured(pace, around, service, jobs, priority, keys))


async def _measured(pace: Pace, around: Servers, service: Service, jobs: int, priority: str, keys: int) -> Flood:
    others = [(await keys_of(around.database_url, f"other-{place}"))[0] for place in range(OTHERS)]
    noisy = await keys_of(around.database_url, "noisy", keys)
    sender, chance = Sender(service.url), random.Random(7)
    bodies = [{**_BODY, "priority": priority}] * (jobs // keys)
    began = time.monotonic()
    accepted = sum(await asyncio.gather(*(sender.submit_many(key, bodies) for key in noisy))) if jobs else 0
    taken = time.monotonic() - began
    sent = await at_random(
        lambda: sender.submit(chance.choice(others), _BODY), LOAD * SLOTS / BRIEF_S, pace.crowd_s, seed=3
    )
    await asyncio.sleep(pace.patience_s)
    await sender.close()
    ended = await _ended(around.database_url)
    if jobs and ended >= accepted:
        raise RuntimeError(f"the flood was over before the others' jobs were (accepted in {taken:.0f} s)")
    return Flood(await waits_of(around.database_url, sent), accepted, ended)


async def _ended(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    count: int = await connection.fetchval(
        "SELECT count(*) FROM jobs JOIN customers ON customers.id = customer_id "
        "WHERE slug = 'noisy' AND finished_at IS NOT NULL"
    )
    await connection.close()
    return count
