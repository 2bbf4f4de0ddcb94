"""Result files: written in parts, again where an attempt was lost, and never changed once they are complete."""

import hashlib
from uuid import UUID, uuid4

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Artifact
from invoicing.jobs.store.artifacts import of_jobs
from invoicing.kit.db import transaction

from ..book import Book

WORKER = uuid4()


async def write(book: Book, job_id: UUID, seq: int, body: bytes) -> None:
    async with transaction(book.engine) as session:
        await ledger.write_artifact_part(session, job_id, "file", "text/plain", seq, body)


async def complete(book: Book, job_id: UUID, body: bytes) -> None:
    async with transaction(book.engine) as session:
        await ledger.complete_artifact(session, job_id, "file", hashlib.sha256(body).hexdigest())


async def content(book: Book, job_id: UUID) -> bytes:
    async with book.engine.connect() as session:
        return b"".join([body async for body in ledger.artifact_content(session, job_id, "file")])


async def listed(book: Book, job_id: UUID) -> Artifact:
    async with book.engine.connect() as session:
        return (await of_jobs(session, [job_id]))[job_id][0]


async def test_parts_come_back_in_order_whatever_the_order_in_which_they_were_written(book: Book) -> None:
    job_id = await book.submit()
    for seq in (2, 0, 1):
        await write(book, job_id, seq, b"%d" % seq)
    assert await content(book, job_id) == b"012"


async def test_a_part_written_again_by_a_later_attempt_replaces_itself(book: Book) -> None:
    job_id = await book.submit()
    await write(book, job_id, 0, b"half")
    await write(book, job_id, 0, b"whole")
    assert await content(book, job_id) == b"whole"
    assert await listed(book, job_id) == Artifact("file", "text/plain", 5, None, complete=False)


async def test_a_complete_file_never_changes(book: Book) -> None:
    job_id = await book.submit()
    await write(book, job_id, 0, b"issued")
    await complete(book, job_id, b"issued")
    before = await listed(book, job_id)

    await write(book, job_id, 0, b"forged")
    await write(book, job_id, 1, b" and more")
    await complete(book, job_id, b"forged")

    assert await content(book, job_id) == b"issued"
    assert await listed(book, job_id) == before
    assert (before.bytes, before.sha256, before.complete) == (6, hashlib.sha256(b"issued").hexdigest(), True)
