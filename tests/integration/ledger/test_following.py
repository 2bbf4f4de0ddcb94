"""A thousand follow one job: a change of it is read once, and told to each of them once."""

import asyncio
from collections import Counter
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.diagnosis.words import retell
from invoicing.jobs.api.events import live
from invoicing.jobs.following import Followers
from invoicing.jobs.model import Succeeded, TimelineEntry
from invoicing.jobs.view import entry_view
from invoicing.kit.ids import new_id

from ..book import Book

MANY = 1_000


def _shown(entry: TimelineEntry) -> dict[str, Any]:
    return entry_view(entry, retell, "en")


class Crowd:
    """Followers that note what they are told, and how many were told each event."""

    def __init__(self) -> None:
        self.told: Counter[bytes] = Counter()
        self.changed = asyncio.Condition()

    async def follow(self, engine: AsyncEngine, followers: Followers, job_id: Any) -> list[bytes]:
        seen = []
        async for line in live(engine, followers, job_id, 0, _shown):
            if line.startswith(b"id: "):
                seen.append(line)
                async with self.changed:
                    self.told[line.partition(b"\n")[0]] += 1
                    self.changed.notify_all()
        return seen

    async def until_all(self, number: bytes) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.told[b"id: " + number] == MANY)


async def test_a_change_costs_one_look_however_many_follow(engine: AsyncEngine, book: Book) -> None:
    statements: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    job_id = await book.submit()
    followers, crowd = Followers(), Crowd()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        crowded = [tasks.create_task(crowd.follow(engine, followers, job_id)) for _ in range(MANY)]
        await crowd.until_all(b"1")
        claims = await book.claim(new_id(), await book.release())
        statements.clear()
        followers.told("", str(job_id))
        await crowd.until_all(b"2")
        assert len(statements) == 1
        await book.settle(claims[0], Succeeded({}))
        statements.clear()
        followers.told("", str(job_id))
    assert len(statements) == 1
    seen = [one.result() for one in crowded]
    assert all(one == seen[0] for one in seen)
    assert [line.partition(b"\n")[0] for line in seen[0]] == [b"id: 1", b"id: 2", b"id: 3"]


async def test_a_look_that_began_before_a_change_is_not_joined_after_it() -> None:
    followers, job_id = Followers(), new_id()
    committed, gate = 1, asyncio.Event()

    async def slow() -> int:
        found = committed
        await gate.wait()
        return found

    early = asyncio.ensure_future(followers.look(job_id, "", slow))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    committed = 2
    followers.told("", str(job_id))
    late = asyncio.ensure_future(followers.look(job_id, "", slow))
    await asyncio.sleep(0)
    gate.set()
    assert (await early, await late) == (1, 2)
