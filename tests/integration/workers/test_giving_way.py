"""What runs makes room when asked: at a checkpoint, or without one, set aside, frozen or moved; no work is lost."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import psutil
import pytest

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Event, Size
from workers.attempts import Pack
from workers.lane_worker import LaneWorker
from workers.sandbox import ChildProcess

from ..book import Book
from .crew import Crew, children_of, until

LARGE = 60.0
"""What a job says of itself that is to be large (seconds)."""


async def ask(book: Book, job: UUID) -> None:
    """Ask for a job to give way, as the dispatcher does."""
    await book.do(f"SELECT pg_notify('{ledger.CONTROL}', :told)", told=f"{job}:yield")


def pack_of(worker: LaneWorker, job: UUID) -> Pack | None:
    return next((pack for key, pack in worker.runner.packs.items() if key[0] == job), None)


async def begun(crew: Crew, worker: LaneWorker, job: UUID) -> None:
    """Wait until a child is at a job."""
    await crew.running(job)

    async def has_child() -> bool:
        pack = pack_of(worker, job)
        return pack is not None and pack.child is not None

    await until(has_child)


def is_aside(worker: LaneWorker, job: UUID, *, frozen: bool = False) -> Callable[[], Awaitable[bool]]:
    """Tell whether a job is set aside (and frozen, as the operating system says it)."""

    async def holds() -> bool:
        pack = pack_of(worker, job)
        if pack is None or pack.child is None or not pack.aside:
            return False
        return not frozen or psutil.Process(pack.child.pid).status() == psutil.STATUS_STOPPED

    return holds


async def set_aside(crew: Crew, book: Book, worker: LaneWorker, kind: str = "freezes", mode: str = "spin") -> UUID:
    """Have a job without checkpoints set aside, and another take its slot for longer than the test."""
    job = await book.submit(kind=kind, seconds=60, chunks=0, mode=mode, claimed_seconds=LARGE)
    await begun(crew, worker, job)
    await ask(book, job)
    await until(is_aside(worker, job, frozen=kind == "freezes"))
    other = await book.submit(seconds=90, chunks=0, mode="sleep", claimed_seconds=LARGE)
    await crew.running(other)
    return job


async def test_a_job_that_gives_way_is_parked_and_goes_on_from_its_checkpoint(crew: Crew, book: Book) -> None:
    await crew.worker()
    job = await book.submit(seconds=3, chunks=30, mode="sleep", claimed_seconds=LARGE)
    await crew.progressed(job, 2)
    await ask(book, job)

    (row,) = await crew.ended(job)

    timeline = await book.timeline(job)
    assert [entry.data["done"] for entry in timeline if entry.event is Event.PROGRESSED] == list(range(1, 31))
    assert [entry.event for entry in timeline].count(Event.PARKED) == 1
    assert (row["state"], row["attempt"], row["failures"], row["parked_at"]) == ("succeeded", 2, 0, None)
    assert row["result"] == {"mode": "sleep", "chunks": 30}


@pytest.mark.parametrize(
    ("work", "given"),
    [
        ({"seconds": 0, "chunks": 0}, [Event.STARTED]),
        ({"seconds": 1.2, "chunks": 12}, [Event.STARTED, Event.PARKED, Event.STARTED]),
    ],
)
async def test_small_work_that_was_asked_while_it_had_no_child_runs_its_least_first(
    crew: Crew, book: Book, monkeypatch: pytest.MonkeyPatch, work: Mapping[str, Any], given: list[Event]
) -> None:
    """It would only change places with other work that waits for a child; what it was asked is not forgotten."""
    worker = await crew.worker()
    job, come = await _without_a_child(crew, book, worker, monkeypatch, work)
    await ask(book, job)
    other = await book.submit(seconds=0)  # its notices follow the one above on the way to the worker
    await asyncio.sleep(0.3)
    come.set()
    rows = await crew.ended(job, other)
    assert [(row["state"], row["failures"]) for row in rows] == [("succeeded", 0)] * 2
    assert [event for event in await book.events(job) if event in {Event.STARTED, Event.PARKED}] == given


async def _without_a_child(
    crew: Crew, book: Book, worker: LaneWorker, monkeypatch: pytest.MonkeyPatch, work: Mapping[str, Any]
) -> tuple[UUID, asyncio.Event]:
    """Have a job wait for a child until the event is set."""
    come, take, take_now = asyncio.Event(), worker._nursery.take, worker._nursery.take_now

    async def take_late(size: Size) -> ChildProcess:
        await come.wait()
        return await take(size)

    monkeypatch.setattr(worker._nursery, "take_now", lambda size: take_now(size) if come.is_set() else None)
    monkeypatch.setattr(worker._nursery, "take", take_late)
    job = await book.submit(claimed_seconds=0.5, **work)
    await crew.running(job)
    return job, come


async def test_what_outlived_its_class_is_set_aside_long_before_a_quantum_has_passed(crew: Crew, book: Book) -> None:
    """One slot and a spare one, two liars: there is room for one of what they really are."""
    await book.do(
        "INSERT INTO policies (scope, settings, by, reason) VALUES ('fleet', '{\"quantum_s\": 600}', 'ops', 'test')"
    )
    worker = await crew.worker()
    liars = [await book.submit(seconds=60, chunks=0, mode="sleep", claimed_seconds=0.1) for _ in range(2)]
    await crew.running(*liars)

    async def one_is_aside() -> bool:
        return [await is_aside(worker, job)() for job in liars].count(True) == 1

    await until(one_is_aside)
    assert worker.terms.policy.quantum_s == 600
    await crew.ended(await book.submit(seconds=0))
    assert {(await book.row(job))["size"] for job in liars} == {"medium"}


@pytest.mark.parametrize("kind", ["drill", "freezes"])
async def test_work_without_a_checkpoint_is_set_aside_for_other_work_and_comes_back(
    crew: Crew, book: Book, kind: str
) -> None:
    worker = await crew.worker()

    async def all_are_loaded() -> bool:
        return worker._nursery.at_hand > worker.terms.children

    await until(all_are_loaded)  # the other must not wait for a child, and the first go on for so long
    long = await book.submit(kind=kind, seconds=8, chunks=0, mode="spin", claimed_seconds=LARGE)
    await begun(crew, worker, long)
    await ask(book, long)
    await until(is_aside(worker, long, frozen=kind == "freezes"))
    other = await book.submit(seconds=0.2, chunks=0, claimed_seconds=LARGE)

    await crew.ended(other)
    (row,) = await crew.ended(long)

    assert (row["state"], row["attempt"], row["failures"]) == ("succeeded", 1, 0), "it was interrupted"
    assert (await book.row(other))["started_at"] < row["finished_at"], "it waited for the other to end"


@pytest.mark.parametrize("how", ["cancel", "drain"])
async def test_a_frozen_job_can_be_cancelled_and_drained(crew: Crew, book: Book, how: str) -> None:
    worker = await crew.worker()
    job = await set_aside(crew, book, worker)
    if how == "cancel":
        await book.cancel(job)
        (row,) = await crew.ended(job)
        assert row["state"] == "cancelled"
    else:
        await asyncio.wait_for(crew.stop(worker), 20)
        row = await book.row(job)
        assert (row["state"], row["failures"]) == ("queued", 0)


async def test_a_frozen_job_keeps_its_lease_and_its_time_stands_still(crew: Crew, book: Book) -> None:
    worker = await crew.worker()
    job = await set_aside(crew, book, worker)
    pack = pack_of(worker, job)
    assert pack is not None
    worked = pack.worked(asyncio.get_running_loop().time())

    await asyncio.sleep(4)  # longer than a lease of these tests

    assert pack.worked(asyncio.get_running_loop().time()) - worked < 1, "a moment until it was frozen, and no more"
    row = await book.row(job)
    assert (row["state"], row["attempt"]) == ("running", 1)


async def test_frozen_children_die_with_their_worker(crew: Crew, book: Book) -> None:
    worker = await crew.process()
    job = await book.submit(kind="freezes", seconds=60, chunks=0, mode="spin", claimed_seconds=LARGE)
    await crew.running(job)
    await ask(book, job)
    await crew.running(await book.submit(seconds=90, chunks=0, mode="sleep", claimed_seconds=LARGE))
    children = children_of(worker.pid)

    async def one_is_frozen() -> bool:
        return any(child.status() == psutil.STATUS_STOPPED for child in children)

    await until(one_is_frozen)
    worker.kill()
    await worker.wait()

    async def gone() -> bool:
        return not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]

    await until(gone)


async def test_only_so_many_are_set_aside_then_one_that_bears_it_is_moved(crew: Crew, book: Book) -> None:
    worker = await crew.worker()
    kinds = ("drill", "drill", "moves")
    *aside, third = [
        await book.submit(kind=kind, seconds=90, chunks=0, mode="sleep", claimed_seconds=LARGE) for kind in kinds
    ]
    for job in aside:
        await begun(crew, worker, job)
        await ask(book, job)
    await begun(crew, worker, third)
    await ask(book, third)

    async def moved() -> bool:
        return Event.INTERRUPTED in await book.events(third)

    await until(moved)
    (entry,) = [entry for entry in await book.timeline(third) if entry.event is Event.INTERRUPTED]
    assert entry.data == {"why": "moved"}
    assert (await book.row(third))["failures"] == 0
    assert [(await book.row(job))["attempt"] for job in aside] == [1, 1]


@pytest.mark.parametrize("mode", ["hang", "die"])
async def test_a_liar_at_the_head_of_a_pack_does_not_hold_up_the_others(crew: Crew, book: Book, mode: str) -> None:
    """All of them said that they are next to nothing, so one child is given all of them together."""
    worker = await crew.worker()
    await book.do(f"SELECT pg_notify('{ledger.BACKLOG}', '')")
    liar = book.request(seconds=60, chunks=0, mode=mode, claimed_seconds=0.001)
    honest = [book.request(seconds=0, chunks=0) for _ in range(30)]
    await book.accept(liar, *honest)

    rows = await crew.ended(*(request.id for request in honest))

    assert {(row["state"], row["failures"]) for row in rows} == {("succeeded", 0)}
    back = [event for request in honest for event in await book.events(request.id) if event is Event.INTERRUPTED]
    assert back, "they were not in one pack"
    if mode == "hang":
        assert (await book.row(liar.id))["state"] == "running"
        assert [pack.current.claim.id for pack in set(worker.runner.packs.values())] == [liar.id]
    else:
        (row,) = await crew.ended(liar.id)
        assert (row["state"], row["error"]["code"]) == ("dead", "child_died")


async def test_slots_follow_the_policy_of_the_host_while_the_worker_runs(crew: Crew, book: Book) -> None:
    worker = await crew.worker(slots=1)
    await book.do(
        "INSERT INTO policies (scope, settings, by, reason) VALUES (:scope, '{\"slots\": 3}', 'ops', 'test')",
        scope=f"host:{socket.gethostname()}",
    )
    jobs = [await book.submit(seconds=90, chunks=0, claimed_seconds=LARGE) for _ in range(3)]

    await crew.running(*jobs)

    assert worker.terms.slots == 3
    assert await book.scalar("SELECT slots FROM workers WHERE id = :id", id=worker.worker_id) == 3
