"""A large job never holds up a small one, whatever it does to the processor and whatever it says of itself."""

import pytest

from invoicing.jobs.model import Event

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
    assert (await book.row(liar))["size"] == "medium"
    assert (await book.events(liar))[:3] == [Event.ACCEPTED, Event.STARTED, Event.RECLASSED]


async def test_a_liar_that_makes_checkpoints_gives_way_and_goes_on_later_from_there(crew: Crew, book: Book) -> None:
    await crew.worker(slots=2)
    large = await book.submit(seconds=2.5, chunks=5, mode="sleep", claimed_seconds=60)
    liar = await book.submit(seconds=4, chunks=40, mode="sleep", claimed_seconds=0.5)
    await crew.running(large, liar)

    async def reclassed() -> bool:
        return bool((await book.row(liar))["size"] == "medium")

    await until(reclassed)
    await book.submit(seconds=0.3)
    await book.submit(seconds=0.3)
    rows = await crew.ended(liar, large)

    assert [row["state"] for row in rows] == ["succeeded", "succeeded"]
    timeline = await book.timeline(liar)
    assert Event.PARKED in [entry.event for entry in timeline]
    done = [entry.data["done"] for entry in timeline if entry.event is Event.PROGRESSED]
    assert done == list(range(1, 41)), "a chunk was done twice or left out"
    assert rows[0]["failures"] == 0


async def test_larger_jobs_never_take_the_spare_slot_and_small_ones_take_them_all(crew: Crew, book: Book) -> None:
    worker = await crew.worker(slots=2)
    large = [await book.submit(seconds=20, chunks=0, claimed_seconds=60) for _ in range(3)]
    await crew.running(*large[:2])
    small = [await book.submit(seconds=0.1) for _ in range(4)]
    await crew.ended(*small)
    assert {attempt.claim.id for attempt in worker.runner.attempts.values()} == set(large[:2])
    for job in large:
        await book.cancel(job)
    await crew.ended(*large)
    await crew.running(*[await book.submit(seconds=3, claimed_seconds=0.8) for _ in range(3)])
