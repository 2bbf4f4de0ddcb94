"""A job that takes every worker with it is stopped after two; one whose workers were only cut off is done."""

import signal

from invoicing.jobs.model import Event

from ..book import Book
from .crew import Crew, until


async def test_a_job_that_kills_its_workers_is_put_under_quarantine_and_its_neighbour_is_done(
    crew: Crew, book: Book
) -> None:
    job = await book.submit(seconds=60, chunks=600, claimed_seconds=0.5)
    for attempt in (1, 2):
        worker = await crew.process()
        await crew.attempted(job, attempt)
        worker.kill()
        await worker.wait()
        assert (await book.row(job))["attempt"] == attempt
    await crew.worker()
    neighbour = await book.submit(seconds=0.05)

    (row,) = await crew.ended(job)

    assert (row["state"], row["error"]["code"], row["attempt"], row["failures"]) == ("dead", "poison", 2, 0)
    assert (await book.events(job))[-1] is Event.DEAD
    deaths = (await book.timeline(job))[-1].data["staff"]["deaths"]
    assert all(death["host"] and death["last_heard_at"] for death in deaths)
    await crew.ended(neighbour)


async def test_a_worker_that_slept_and_woke_is_not_held_against_its_job(crew: Crew, book: Book) -> None:
    job = await book.submit(seconds=60, chunks=600, claimed_seconds=0.5)
    worker = await crew.process()

    async def rescued() -> bool:
        return bool((await book.row(job))["state"] == "queued")

    for attempt in (1, 2, 3):
        await crew.attempted(job, attempt)
        worker.send_signal(signal.SIGSTOP)
        await until(rescued)
        worker.send_signal(signal.SIGCONT)
    await crew.running(job)
    assert await book.scalar("SELECT count(*) FROM losses WHERE returned_at IS NULL") == 0
    assert await book.scalar("SELECT count(*) FROM losses") == 3
