"""Small jobs beside 40 that burn CPU: how late they start, and what that costs the large ones; arq beside it."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence

import asyncpg
from benchmarks.burning import burned_s
from benchmarks.case import Case, cpu_rate
from benchmarks.isolation_of_arq import arrangements
from benchmarks.pace import Pace
from benchmarks.report import Table
from benchmarks.service import Service, running
from benchmarks.submitting import Body, Sender, at_random
from benchmarks.surroundings import Servers, keys_of, servers
from benchmarks.waits import at, shown, waits_of

SLOTS = 2
LARGE = 40
BURN_S = 120.0
"""CPU of a large job: none ends while it is measured."""

_LIMIT_S = 1.0
"""The longest a job may run in the small class before it is re-classed (the policy's default)."""

_BRIEF: Body = {"kind": "bench.brief", "payload": {"seconds": 0.01}}


def yielding(count: int) -> list[Body]:
    """Make large jobs with checkpoints."""
    return [_burn("bench.yielding") for _ in range(count)]


def stubborn(count: int) -> list[Body]:
    """Make large jobs without checkpoints: half of them may be frozen, the others not."""
    return [_burn("bench.freezing" if place % 2 else "bench.stubborn") for place in range(count)]


def liars(kind: str, count: int) -> list[Body]:
    """Make large jobs that claim to be small."""
    return [_burn(kind, claimed_seconds=0.1) for _ in range(count)]


def hanging(count: int) -> list[Body]:
    """Make jobs that claim to be small and hang."""
    return [_burn("bench.stubborn", claimed_seconds=0.1, hang=True) for _ in range(count)]


def _burn(kind: str, **more: object) -> Body:
    return {"kind": kind, "payload": {"seconds": BURN_S, **more}}


def run(pace: Pace) -> Table:
    """Measure every arrangement, each with fresh servers and processes."""
    third = LARGE // 3
    calm = _ours(pace, lambda: yielding(LARGE))
    roomy = _ours(pace, lambda: yielding(LARGE), spare=2)
    lied = _ours(pace, lambda: yielding(LARGE - third) + liars("bench.yielding", third), at_once=True)
    same = _ours(pace, lambda: yielding(LARGE - third) + liars("bench.yielding", third), at_once=True, one=True)
    hung = _ours(
        pace,
        lambda: stubborn(LARGE - third) + liars("bench.stubborn", third - SLOTS - 1) + hanging(SLOTS + 1),
        at_once=True,
    )
    half = _ours(pace, lambda: yielding(LARGE // 2) + stubborn(LARGE // 2))
    peers = {name: measure(pace) for name, measure in arrangements(LARGE, BURN_S).items()}
    return _table(calm, roomy, lied, same, hung, half, peers)


def _table(calm: Case, roomy: Case, lied: Case, same: Case, hung: Case, half: Case, peers: dict[str, Case]) -> Table:
    table = Table(
        f"Small jobs beside {LARGE} that burn CPU ({SLOTS} slots, 2 cores): from commit to the first line in the child",
        ("what", "idle p50 / p99 ms", "beside p50 / p99 ms", "p99 ratio", "CPU of large", "of what alone"),
    )
    after = lied.since(lied.first_reclass or 0.0)
    ours = {
        "invoicing: large with checkpoints": calm,
        "invoicing: the same, two spare slots for small jobs": roomy,
        "invoicing: a third claims to be small, from the first re-class on": after,
        "invoicing: the same, all of one customer": same.since(same.first_reclass or 0.0),
        "invoicing: without checkpoints, a third claims to be small, 3 hang": hung,
        "invoicing: half of them without checkpoints": half,
    }
    for name, case in {**ours, **peers}.items():
        table.add(
            name,
            f"{at(case.idle, 0.5):.1f} / {at(case.idle, 0.99):.1f}",
            f"{shown(case.loaded, 0.5)} / {shown(case.loaded, 0.99)}",
            f"{at(case.loaded, 0.99) / at(case.idle, 0.99):.1f}",
            f"{case.beside:.2f}",
            f"{case.share:.0f} %" if case.alone else "",
        )
    bound = 1.5 * at(calm.idle, 0.99) + 5
    table.bar("small p99 (ms) beside large: 1.5 x idle p99 + 5", at(calm.loaded, 0.99), at_most=bound)
    bound = 1.5 * at(roomy.idle, 0.99) + 5
    table.bar("the same with two spare slots", at(roomy.loaded, 0.99), at_most=bound)
    table.bar("CPU of the large jobs, % of alone", calm.share, at_least=80)
    bound = 4 * at(after.idle, 0.99) + 50
    what = "small p99 (ms), a third lying, after the first re-class: 4 x idle p99 + 50"
    table.bar(what, at(after.loaded, 0.99), at_most=bound)
    overrun = max(wait.seconds for wait in hung.loaded) - _LIMIT_S
    table.bar("small capacity back after the overrun (s): the longest wait less the class's limit", overrun, at_most=2)
    bound = 2 * at(calm.loaded, 0.99)
    table.bar("small p99 (ms), half without checkpoints: 2 x that of all with", at(half.loaded, 0.99), at_most=bound)
    return table


def _ours(
    pace: Pace,
    large: Callable[[], list[Body]],
    *,
    at_once: bool = False,
    one: bool = False,
    spare: int | None = None,
) -> Case:
    """Measure one arrangement; `at_once`: small jobs come with the large ones; `one`: all are of one customer."""
    with servers() as around, running(around, SLOTS, spare) as service:
        crowd = around.key if one else asyncio.run(keys_of(around.database_url, "crowd"))[0]
        return asyncio.run(_measured(pace, around, service, crowd, large(), at_once=at_once))


async def _measured(
    pace: Pace, around: Servers, service: Service, crowd: str, large: Sequence[Body], *, at_once: bool
) -> Case:
    sender = Sender(service.url)

    async def small(seconds: float, seed: int) -> list[uuid.UUID]:
        return await at_random(lambda: sender.submit(around.key, _BRIEF), pace.small_per_s, seconds, seed)

    await small(2, seed=0)  # the first ones find nothing warm
    idle = await small(pace.idle_s, seed=1)
    if await sender.submit_many(crowd, large) < len(large):
        raise RuntimeError("not every large job was accepted")
    alone = 0.0 if at_once else await cpu_rate(service.cpu, pace)
    before, began = burned_s(service.cpu), time.monotonic()
    loaded = await small(pace.beside_s, seed=2)
    beside = (burned_s(service.cpu) - before) / (time.monotonic() - began)
    await asyncio.sleep(pace.patience_s)
    await sender.close()
    return Case(
        await waits_of(around.database_url, idle),
        await waits_of(around.database_url, loaded),
        alone,
        beside,
        await _first_reclass(around.database_url),
    )


async def _first_reclass(database_url: str) -> float | None:
    connection = await asyncpg.connect(database_url)
    found: float | None = await connection.fetchval(
        "SELECT extract(epoch FROM min(at))::float8 FROM timeline WHERE event = 'reclassed'"
    )
    await connection.close()
    return found
