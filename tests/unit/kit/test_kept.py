"""What is kept is read once for all who ask at the same time, and again for whom it is not enough."""

import asyncio
from collections.abc import Sequence

from invoicing.kit.db import Session, make_engine
from invoicing.kit.kept import Kept


class Source:
    """Counts how often it was read, and waits to be let."""

    def __init__(self) -> None:
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()

    async def read(self, _session: Session) -> Sequence[int]:
        self.reads += 1
        await self.open.wait()
        return range(self.reads)


async def test_a_thousand_who_ask_at_once_cost_one_reading() -> None:
    source, session = Source(), make_engine("postgresql://nobody@127.0.0.1:1/none").connect()
    kept = Kept(source.read, 60.0)
    source.open.clear()
    asking = [asyncio.create_task(kept.get(session)) for _ in range(1_000)]
    await asyncio.sleep(0)
    source.open.set()
    assert {len(found) for found in await asyncio.gather(*asking)} == {1}
    assert source.reads == 1


async def test_it_is_read_again_when_it_is_old_or_not_enough_and_apart_for_each_database() -> None:
    source, session = Source(), make_engine("postgresql://nobody@127.0.0.1:1/none").connect()
    other = make_engine("postgresql://nobody@127.0.0.1:1/other").connect()
    stale, kept = Kept(source.read, 0.0), Kept(source.read, 60.0)
    await stale.get(session)
    await asyncio.sleep(0.01)
    await stale.get(session)
    assert source.reads == 2
    assert len(await kept.get(session)) == 3
    assert len(await kept.get(session, lambda found: len(found) > 3)) == 4
    assert len(await kept.get(session)) == 4
    assert len(await kept.get(session, lambda found: len(found) > 9)) == 5, "the newest there is, enough or not"
    assert len(await kept.get(other)) == 6
    assert len(await kept.read(session)) == 7
    assert len(await kept.get(session)) == 5
