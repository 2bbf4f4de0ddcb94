"""Children at hand: work that is set aside has a successor at once, and none is kept that nobody needs."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from invoicing.jobs.model import Size
from workers.messages import Surroundings
from workers.nursery import Nursery
from workers.sandbox import ChildProcess

from ..book import Book
from . import station
from .crew import Crew, children_of, until


@pytest.fixture
async def nursery(database_url: str) -> AsyncIterator[Nursery]:
    """Want one child."""
    around = Surroundings(database_url, drills=True, settings={})
    nursery = Nursery(around, 1, program=(str(station.CHILD),))
    await nursery.start()
    yield nursery
    await nursery.close()


async def at_hand(nursery: Nursery, count: int) -> None:
    async def so_many() -> bool:
        return nursery.at_hand == count

    await until(so_many)


def processes() -> int:
    """Count the children that the operating system knows."""
    return sum(str(station.CHILD) in child.cmdline() for child in children_of(os.getpid()))


async def test_beside_the_warm_children_one_is_loaded_and_no_more(nursery: Nursery) -> None:
    await at_hand(nursery, 2)
    first, second = nursery.take_now(Size.SMALL), nursery.take_now(Size.SMALL)
    assert first is not None
    assert second is not None
    assert (first.warm, second.warm) == (True, False)
    for child in (first, second):
        await nursery.give_back(child)
    assert processes() == 2


@pytest.mark.parametrize(
    ("attempts", "seconds", "replaced"), [(9_999, 1e9, True), (4_999, 1e9, False), (1_000_000, 119.0, False)]
)
async def test_a_child_is_replaced_after_many_attempts_that_took_a_while(
    nursery: Nursery, attempts: int, seconds: float, *, replaced: bool
) -> None:
    await at_hand(nursery, 2)
    child = nursery.take_now(Size.SMALL)
    assert child is not None
    child.performed, child.worked_s = attempts, seconds
    await nursery.give_back(child)
    assert child.alive != replaced
    await at_hand(nursery, 2)


@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_a_start_that_is_broken_off_leaves_no_process(database_url: str, steps: int) -> None:
    around = Surroundings(database_url, drills=True, settings={})
    starting = asyncio.create_task(ChildProcess.start(around, (str(station.CHILD),)))
    for _ in range(steps):
        await asyncio.sleep(0)
    assert processes() == 1
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert processes() == 0


async def test_work_that_is_set_aside_leaves_as_many_children_at_hand_and_one_is_warmed_up(nursery: Nursery) -> None:
    await at_hand(nursery, 2)
    aside = nursery.take_now(Size.LARGE)
    assert aside is not None
    nursery.set_aside(aside)
    await at_hand(nursery, 2)

    async def one_is_warm() -> bool:
        return any(child.warm for child in nursery._idle)

    await until(one_is_warm)
    nursery.bring_back(aside)
    await nursery.give_back(aside)
    assert nursery.at_hand == 2
    assert processes() == 2


async def test_who_waits_for_a_child_gets_the_next_one_that_is_loaded(nursery: Nursery) -> None:
    await at_hand(nursery, 2)
    for _ in range(2):
        taken = nursery.take_now(Size.SMALL)
        assert taken is not None
        nursery.set_aside(taken)
    child = await asyncio.wait_for(nursery.take(Size.SMALL), 45)
    assert not child.warm


async def test_no_job_is_claimed_before_there_is_a_child_for_it(
    crew: Crew, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the runway it can be withdrawn, placed anew, and taken by another worker."""
    worker = await crew.worker()
    with monkeypatch.context() as without:
        without.setattr(Nursery, "at_hand", property(lambda _: 0))
        job = await book.submit(seconds=0)

        async def released() -> bool:
            return (await book.row(job))["released_at"] is not None

        await until(released)
        await asyncio.sleep(1.5)  # it looks again every second
        assert (await book.row(job))["state"] == "queued"
    worker._nursery.came()
    await crew.ended(job)


async def test_warming_up_is_not_the_works_time(crew: Crew, book: Book, database_url: str) -> None:
    """One child is warm and busy; the other has to warm up first, for longer than the work may take."""
    around = Surroundings(database_url, drills=True, settings={"warms_up_for": "1"})
    worker = await crew.worker(nursery=Nursery(around, 1, program=(str(station.CHILD),)))
    await crew.running(await book.submit(seconds=60, chunks=0, mode="sleep", claimed_seconds=0.9))
    job = await book.submit(kind="brisk")
    (row,) = await crew.ended(job)
    assert (row["state"], row["attempt"]) == ("succeeded", 1)
    took = "SELECT extract(epoch FROM ended_at - started_at)::float8 FROM attempts WHERE job_id = :id"
    assert await book.scalar(took, id=job) < 0.9
    await crew.stop(worker)
