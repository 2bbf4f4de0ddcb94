"""What waits is counted: whoever changes it, and before, between and after the changes are folded."""

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs.model import Interrupted, Size, Succeeded
from invoicing.kit.db import transaction
from invoicing.kit.ids import new_id
from invoicing.lanes import store

from ..book import NORMAL_SMALL, Book


async def counted(engine: AsyncEngine) -> dict[Size, tuple[int, float]]:
    """Give the count and the predicted work of each class."""
    async with transaction(engine) as session:
        return {tally.lane.size: (tally.waiting, tally.work_s) for tally in await store.tallies(session)}


async def fold(engine: AsyncEngine, most: int = 100) -> int:
    async with transaction(engine) as session:
        return await store.fold_tallies(session, most)


async def test_what_waits_is_counted_through_its_whole_life(engine: AsyncEngine, book: Book) -> None:
    await book.accept(*(book.request(seconds=0.5) for _ in range(3)), book.request(seconds=10.0))
    assert await counted(engine) == {Size.SMALL: (3, 1.5), Size.MEDIUM: (1, 10.0)}

    claims = await book.claim(new_id(), await book.release(2, NORMAL_SMALL))
    assert await counted(engine) == {Size.SMALL: (1, 0.5), Size.MEDIUM: (1, 10.0)}

    await book.settle(claims[0], Succeeded({}))
    await book.settle(claims[1], Interrupted("yield", Size.LARGE))
    assert await counted(engine) == {Size.SMALL: (1, 0.5), Size.MEDIUM: (1, 10.0), Size.LARGE: (1, 0.5)}

    await book.cancel(claims[1].id)
    assert await counted(engine) == {Size.SMALL: (1, 0.5), Size.MEDIUM: (1, 10.0)}


async def test_folding_changes_no_count_and_leaves_nothing_to_fold(engine: AsyncEngine, book: Book) -> None:
    for _ in range(5):
        await book.submit(seconds=0.5)
    await book.claim(new_id(), await book.release(1, NORMAL_SMALL))
    before = await counted(engine)

    assert await fold(engine, most=4) == 4
    assert await counted(engine) == before == {Size.SMALL: (4, 2.0)}
    assert await fold(engine) == 2
    assert await fold(engine) == 0
    assert await counted(engine) == before
    assert await book.scalar("SELECT waiting FROM tallies") == 4
