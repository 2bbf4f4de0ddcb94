"""What dispatcher, workers and watchdog tell a monitoring system is what they did."""

import asyncio
from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families as parsed
from prometheus_client.registry import Collector

from invoicing.diagnosis import service as diagnosis
from invoicing.kit.exposing import LoopLag, exposed
from invoicing.kit.ids import new_id
from workers.figures import OfADispatcher, OfAWatchdog, OfAWorker
from workers.keeper import Keeper
from workers.observer import Observer
from workers.pulse import Pulses
from workers.watchdog import Watchdog

from ..book import Book
from .crew import Crew, until

Figures = Mapping[tuple[str, ...], float]


async def read(*collectors: Collector) -> Figures:
    """Read them as Prometheus does: by name and labels, in the order of the labels' names."""
    with exposed([*collectors, LoopLag(asyncio.get_running_loop())], "127.0.0.1", 0, None) as port:
        async with httpx.AsyncClient(verify=False) as prometheus:
            answer = await prometheus.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200
    samples = [sample for family in parsed(answer.text) for sample in family.samples]
    return {
        (one.name.removeprefix("invoicing_"), *one.labels.values()): one.value
        for one in samples
        if one.name.startswith("invoicing_")
    }


async def test_a_worker_and_the_dispatcher_tell_what_they_did(crew: Crew, book: Book) -> None:
    worker = await crew.worker(slots=2)
    await crew.ended(await book.submit(seconds=0.01), await book.submit(seconds=-1, claimed_seconds=1))
    await book.submit(seconds=0, mode="fail", claimed_seconds=0)
    await book.submit(seconds=0, mode="die")
    await book.submit(kind="no.such")

    async def all_have_ended_once() -> bool:
        return len(worker.runner.ended_as) == 5

    await until(all_have_ended_once)
    await crew.running(await book.submit(seconds=300, chunks=0, claimed_seconds=0.01))

    async def beaten() -> bool:
        return worker.heartbeat is not None and worker.heartbeat.renewed > 0

    await until(beaten)
    found = await read(OfAWorker(worker, worker._nursery), OfADispatcher(crew.leader))

    assert found["attempts_total", "", "drill", "succeeded"] == 1
    assert found["attempts_total", "bad_input", "drill", "rejected"] == 1
    assert found["attempts_total", "of_its_kind", "drill", "failed"] >= 1
    assert found["attempts_total", "child_died", "drill", "failed"] >= 1
    assert found["attempts_total", "unknown_kind", "unknown", "failed"] >= 1
    assert found["attempts_late_total",] == 0
    assert found["worker_slots",] == 2
    assert sum(value for key, value in found.items() if key[0] == "worker_running") == 1
    assert found["worker_children", "busy"] == 1
    assert found["worker_children_started_total",] >= 2
    assert found["worker_children_killed_total", "child_died"] >= 1
    assert found["worker_heartbeats_total", "done"] > 0
    assert found["worker_heartbeats_total", "failed"] == 0
    assert found["dispatcher_leads",] == 1
    assert found["dispatcher_round_seconds_count",] >= 5
    released = [value for key, value in found.items() if key[0] == "dispatcher_released_jobs_total"]
    assert sum(released) >= 6, "every attempt was released"
    assert 0 <= found["loop_lag_seconds",] < 2


async def test_a_dispatcher_that_only_waits_says_that_it_does_not_lead(crew: Crew) -> None:
    async def leading() -> bool:
        return crew.leader.leads

    await until(leading)
    other = crew.add_dispatcher()
    assert (await read(OfADispatcher(other)))["dispatcher_leads",] == 0
    await crew.stop(crew.leader)
    assert (await read(OfADispatcher(crew.leader)))["dispatcher_leads",] == 0

    async def taken_over() -> bool:
        return other.leads

    await until(taken_over)


async def test_a_watchdog_tells_of_its_loops_and_of_what_it_found(crew: Crew, book: Book) -> None:
    pulses = Pulses()
    watchdog = Watchdog(crew.engine, crew.transport, pulses=pulses, every_s=0.02)
    keeper = Keeper(crew.engine, diagnosis.explain, every_s=0.02, pulses=pulses)
    observer = Observer(crew.engine, every_s=0.02, pulses=pulses)
    await book.start(new_id())
    loops = asyncio.gather(watchdog.run(), keeper.run(), observer.run())
    told = OfAWatchdog(pulses, watchdog, keeper, observer, [])

    found: dict[tuple[str, ...], float] = {}

    async def seen() -> bool:
        found.clear()
        found.update(await read(told))
        done = pulses.of("rescue", 0.02).rounds["done"] > 2
        return done and found.get(("conditions_open", "no_worker"), 0) >= 1  # none is told while its look is old

    await until(seen)
    names = {key[1] for key in found if key[0] == "watchdog_round_age_seconds"}
    assert names == {
        "rescue", "reconcile", "forget_workers", "foresee", "promises", "count_promises", "look", "book",
        "forget_conditions", "updates",
    }  # fmt: skip
    assert {key[1] for key, value in found.items() if key[0] == "watchdog_loop_late" and value} == set()
    assert found["jobs_rescued_total", "quarantined"] == found["tickets_healed_total",] == 0
    for loop in (watchdog, keeper, observer):
        loop.stop()
    await asyncio.wait_for(loops, 20)
