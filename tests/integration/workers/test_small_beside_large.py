"""A large job never holds up a small one, whatever it does to the processor and whatever it says of itself."""

import pytest

from invoicing.jobs.model import Event, Size

from ..book import Book
from .crew import Crew, until


@pytest.mark.parametrize("mode", ["spin", "sleep"])
async def test_small_jobs_end_while_a_large_one_and_a_liar_run(crew: Crew, book: Book, mode: str) -> None:
    """Two slots: one with a large job, the other with one that said it was small and makes no checkpoint."""
    await crew.worker(slots=2)
    large = await book.submit(seconds=60, chunks=10, mode=mode)
    liar = await book.submit(seconds=60, mode=mode, claimed_seconds=0.5)
    await crew.running(large, liar)

    small = [await book.submit(seconds=0.02) for _ in range(10)]
    await crew.ended(*small)

    assert [(await book.row(job))["state"] for job in (large, liar)] == ["running", "running"]

    async def found_out() -> bool:
        return bool((await book.row(liar))["size"] == "medium")

    await until(found_out)
    assert (await book.events(liar))[:3] == [Event.ACCEPTED, Event.STARTED, Event.RECLASSED]


async def test_who_makes_checkpoints_gives_way_to_a_liar_that_is_found_out_and_no_work_is_lost(
    crew: Crew, book: Book
) -> None:
    """Two large jobs fill the slots, a liar the spare one; found out, it is one too many, and the largest goes."""
    await crew.worker(slots=2)
    large = [await book.submit(seconds=8, chunks=40, mode="sleep", claimed_seconds=60) for _ in range(2)]
    await crew.running(*large)
    liar = await book.submit(seconds=4, chunks=40, mode="sleep", claimed_seconds=0.5)
    rows = await crew.ended(liar, *large)

    assert [(row["state"], row["failures"]) for row in rows] == [("succeeded", 0)] * 3
    timelines = [await book.timeline(job) for job in (liar, *large)]
    assert Event.PARKED in [entry.event for timeline in timelines for entry in timeline]
    for timeline in timelines:
        done = [entry.data["done"] for entry in timeline if entry.event is Event.PROGRESSED]
        assert done == list(range(1, 41)), "a chunk was done twice or left out"


async def test_larger_jobs_never_take_the_spare_slot_and_small_ones_take_them_all(crew: Crew, book: Book) -> None:
    worker = await crew.worker(slots=2)
    large = [await book.submit(seconds=20, chunks=0, claimed_seconds=60) for _ in range(3)]

    async def two_run() -> bool:
        return len(worker.runner.attempts) == 2

    await until(two_run)
    small = [await book.submit(seconds=0.1) for _ in range(4)]
    await crew.ended(*small)
    assert worker.runner.running().get(Size.LARGE, 0) <= 2
    assert {(await book.row(job))["finished_at"] for job in large} == {None}
    for job in large:
        await book.cancel(job)
    await crew.ended(*large)
    small = [await book.submit(seconds=30, mode="sleep", claimed_seconds=0.8) for _ in range(3)]
    await crew.running(*small)
    for job in small:
        await book.cancel(job)
    await crew.ended(*small)
