"""Of what one incident becomes, or several at once, customers are told what concerns them, once and within bounds."""

from datetime import UTC, datetime, timedelta

import pytest

from invoicing.incidents import noticing
from invoicing.incidents.model.acts import Merge
from invoicing.incidents.model.causes import EVERYWHERE, Cause
from invoicing.incidents.model.course import opened
from invoicing.incidents.model.incident import Finding
from invoicing.incidents.store import notices, rows
from invoicing.jobs.model import Succeeded
from invoicing.kit.db import transaction
from invoicing.kit.ids import new_id
from workers.herald import Herald

from ..book import Book
from .conftest import HERE, Lookout
from .test_notices import act, endpoint, events, over, stuck, told


@pytest.fixture
def herald(book: Book) -> Herald:
    return Herald(book.engine)


async def test_who_was_told_of_one_job_hears_of_all_that_waited_when_the_incident_came_to_hold_a_lane(
    book: Book, lookout: Lookout, herald: Herald
) -> None:
    await endpoint(book)
    claim = await book.start(await lookout.worker("host-b", silent=9))
    await lookout.look()
    await lookout.look(later=16)
    await herald.round()
    (lost,) = await lookout.all()
    await book.lose(claim.id)
    await book.do("UPDATE jobs SET due_at = now() WHERE state = 'retrying'")
    await book.accept(*(book.request() for _ in range(3)))
    await lookout.holds("no_worker")
    await lookout.look()
    whole = next(one for one in await lookout.all() if one.id != lost.id)
    await act(book, lost, Merge(whole.id))
    await lookout.look(later=16)
    for _ in range(2):
        await herald.round()
    assert await events(book) == ["opened"]
    again = await book.claim(await lookout.worker(), await book.release())
    for one in again:
        await book.settle(one, Succeeded({}))
    await over(lookout)
    await herald.round()
    (_, data) = (await told(book))[-1]
    assert (data["outcome"]["touched"], data["outcome"]["succeeded"]) == (4, 4)


async def test_what_is_counted_at_the_end_is_bounded_however_much_lies_in_other_lanes(
    book: Book, lookout: Lookout, herald: Herald, monkeypatch: pytest.MonkeyPatch
) -> None:
    await endpoint(book)
    await stuck(book, lookout)
    await herald.round()
    await book.accept(*(book.request(priority="bulk") for _ in range(5)), book.request())
    await over(lookout)
    monkeypatch.setattr(notices, "_MOST_LOOKED_AT", 4)
    await herald.round()
    assert (await told(book))[-1][1]["outcome"]["touched"] == 1


async def test_nobody_is_told_that_nobody_of_ours_is_on_duty(book: Book, lookout: Lookout, herald: Herald) -> None:
    await endpoint(book)
    await book.start(await lookout.worker())
    await book.submit()
    found = Finding(Cause.NOBODY_ON_DUTY, EVERYWHERE, datetime.now(UTC), {"incidents": [], "next_on_duty_at": None})
    async with transaction(book.engine) as session:
        await rows.write(session, opened(new_id(), found, found.since - timedelta(minutes=1)), None, found.since)
    assert [one.cause for one in await lookout.all()] == [Cause.NOBODY_ON_DUTY]
    async with book.engine.connect() as session:
        assert await noticing.due(session) == []
    await herald.round()
    assert await told(book) == []


async def test_who_lost_a_worker_and_has_no_other_is_told_of_one_thing(
    book: Book, lookout: Lookout, herald: Herald
) -> None:
    await endpoint(book)
    claim = await book.start(await lookout.worker("host-b", silent=9))
    await lookout.look()
    await book.lose(claim.id)
    await lookout.holds("no_worker")
    await lookout.look()
    await lookout.look(later=16)
    assert await lookout.live() == [("worker_lost", "host:host-b"), ("no_worker", f"lane:{HERE}")]
    for _ in range(2):
        await herald.round()
    ((event, data),) = await told(book)
    assert (event, data["title"]) == ("incident.opened", "Jobs of this queue are not being started at the moment.")
    assert data["jobs"]["touched"] == 1
