"""A quota counts exactly, whoever submits at the same moment, and what it holds goes in order when there is a place."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

from invoicing.customers.model import Principal, Role
from invoicing.jobs import holding, rules
from invoicing.jobs import service as ledger
from invoicing.jobs.accepting import Acceptor, write
from invoicing.jobs.model import Accepted, Event, NewJob, State, Succeeded
from invoicing.jobs.model.holds import EVERY_KIND, Period, Quota, Terms
from invoicing.jobs.store import quotas
from invoicing.kit.db import driver, transaction
from workers.usher import Usher

from ..book import Book

WORKER = uuid4()


async def limit(book: Book, most: int | None, kind: str = EVERY_KIND) -> tuple[Quota, int]:
    """Set the quota of the customer, a month long, and let those go for whom there is a place now."""
    async with transaction(book.engine) as session:
        quota = await quotas.put(session, book.customer_id, kind, most, Period.MONTH, "Asia/Shanghai")
        return quota, quota.waiting - (await holding.let_go(session, quota)).waiting


async def counted(book: Book) -> tuple[int, int]:
    """Give how many have a place, and how many wait for one."""
    async with book.engine.connect() as session:
        (quota,) = await quotas.all_quotas(session)
    return quota.used, quota.waiting


async def submit(book: Book, quota: Quota, *requests: NewJob) -> list[Accepted]:
    """Accept requests that a quota counts, in one statement."""
    async with book.engine.connect() as session:
        jobs = [replace(one, terms=Terms(quota_id=quota.id)) for one in requests]
        answers = await write(await driver(session), jobs)
    return [one for one in answers if isinstance(one, Accepted)]


def requests(book: Book, count: int) -> list[NewJob]:
    return [book.request(seconds=0) for _ in range(count)]


async def held(book: Book) -> list[UUID]:
    return [row["id"] for row in await book.rows() if row["held"]]


async def turn_the_period(book: Book) -> None:
    """Have the period begin that the quota counts be over."""
    await book.do("UPDATE quotas SET begun_at = begun_at - interval '40 days', ends_at = now()")
    await book.do("UPDATE quota_places SET begun_at = begun_at - interval '40 days'")


async def test_who_comes_at_the_same_moment_gets_no_more_places_than_there_are(book: Book) -> None:
    quota, _ = await limit(book, 25)
    groups = [requests(book, 7) for _ in range(12)]
    again = [replace(one, id=other.id) for one, other in zip(groups[0], requests(book, 7), strict=True)]
    answers = await asyncio.gather(*(submit(book, quota, *group) for group in [*groups, again, groups[3]]))
    assert sum(one.replayed for group in answers for one in group) == 14
    assert await counted(book) == (25, 12 * 7 - 25)
    assert len(await held(book)) == 12 * 7 - 25
    assert len(await book.release(1000)) == 25, "the dispatcher sees those with a place alone"


async def test_what_is_held_goes_in_order_when_the_quota_is_raised(book: Book) -> None:
    quota, _ = await limit(book, 2)
    jobs = requests(book, 6)
    assert [one.held for one in await submit(book, quota, *jobs)] == [False, False, True, True, True, True]
    assert (await limit(book, 4))[1] == 2
    assert await held(book) == [one.id for one in jobs[4:]]
    assert await book.events(jobs[2].id) == [Event.ACCEPTED, Event.ADMITTED]
    (newcomer,) = await submit(book, quota, *requests(book, 1))
    assert newcomer.held, "it does not overtake those that wait"
    assert (await limit(book, None))[1] == 3
    assert await held(book) == []
    assert await book.scalar("SELECT count(*) FROM quotas") == 0


async def test_when_the_period_turns_no_more_go_than_the_new_one_has_places_for(book: Book) -> None:
    quota, _ = await limit(book, 3)
    jobs = requests(book, 10)
    await submit(book, quota, *jobs)
    usher = Usher(book.engine)
    assert await usher.round() == 0
    for left in (4, 1, 0):
        await turn_the_period(book)
        if not left:
            (newcomer,) = await submit(book, quota, *requests(book, 1))
            assert newcomer.held, "who comes first in a period is behind those that wait"
        await usher.round()
        assert len(await held(book)) == left
    assert await counted(book) == (2, 0)


async def test_a_job_that_is_cancelled_before_it_began_gives_its_place_to_the_next(book: Book) -> None:
    quota, _ = await limit(book, 2)
    begun, placed, first, second = requests(book, 4)
    await submit(book, quota, begun, placed, first, second)
    (claim,) = await book.claim(WORKER, (await book.release(1)))
    assert claim.id == begun.id
    await book.cancel(begun.id)
    await book.cancel(second.id)
    assert await counted(book) == (2, 1)
    assert await Usher(book.engine).round() == 0
    await book.cancel(placed.id)
    assert await Usher(book.engine).round() == 1
    assert await held(book) == []
    assert await counted(book) == (2, 0)
    await book.settle(claim, Succeeded({}))
    assert await book.scalar("SELECT count(*) FROM holds") == 0


async def test_cancels_and_those_who_let_go_never_wait_for_each_other_for_good(book: Book) -> None:
    quota, _ = await limit(book, 10)
    for most in range(20, 60, 10):
        jobs = requests(book, 40)
        await submit(book, quota, *jobs)
        await asyncio.gather(limit(book, most), *(book.cancel(one.id) for one in jobs[::2]), Usher(book.engine).round())
        rows = await book.rows()
        used, waiting = await counted(book)
        assert waiting == sum(row["held"] for row in rows)
        assert used == await book.scalar("SELECT count(*) FROM quota_places")


async def test_whoever_sets_a_quota_and_those_who_submit_never_wait_for_each_other_for_good(book: Book) -> None:
    quota, _ = await limit(book, 25)
    admin = Principal(uuid4(), Role.ADMIN, "erika")
    for most in range(10, 20):
        wanted = rules.Allowance("acme", EVERY_KIND, most, Period.MONTH, "Asia/Shanghai")
        some = [submit(book, quota, *requests(book, 3)) for _ in range(4)]
        await asyncio.gather(*some, rules.set_quota(book.engine, admin, wanted, "agreed"))
    assert sum(await counted(book)) == 10 * 4 * 3


async def test_nobody_else_waits_for_the_counting_of_a_quota(book: Book) -> None:
    quota, _ = await limit(book, 25)
    acceptor = Acceptor(book.engine)
    await acceptor.start()
    async with transaction(book.engine) as session:
        assert await quotas.locked(session, quota.id)
        counting = []
        for request in requests(book, 3):  # more than there are to write them
            counting.append(asyncio.create_task(acceptor.accept(replace(request, terms=Terms(quota_id=quota.id)))))
            async with asyncio.timeout(60):
                await acceptor.accept(*requests(book, 1))
        assert not any(one.done() for one in counting)
    assert not any(one.held for one in await asyncio.gather(*counting))
    await acceptor.stop()


async def test_a_held_job_is_counted_neither_as_waiting_nor_released_nor_moved(book: Book) -> None:
    quota, _ = await limit(book, 1)
    await submit(book, quota, *requests(book, 3))
    assert await book.scalar("SELECT sum(waiting) FROM tally_changes") == 1
    async with book.engine.connect() as session:
        assert len(await ledger.queues(await driver(session))) == 1
    assert {row["state"] for row in await book.rows()} == {State.QUEUED}
