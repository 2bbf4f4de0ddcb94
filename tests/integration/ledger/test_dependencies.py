"""What attempts say of what they needed from outside is kept with their ends: an outage kills no job, and ends."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from invoicing.cli.checks_servers import servers
from invoicing.jobs import service as ledger
from invoicing.jobs.model import (
    Breaker,
    Claim,
    Event,
    Failed,
    Interrupted,
    JobError,
    Outcome,
    RetryPolicy,
    Succeeded,
)
from invoicing.jobs.model.dependencies import FIRST_WAIT, OPENS_AFTER, Said
from invoicing.jobs.store import dependencies
from invoicing.kit.db import driver, transaction
from invoicing.kit.ids import new_id
from invoicing.lanes import store
from invoicing.lanes.store.totals import totals

from ..book import Book

DOWN = Failed(JobError("gate_down", "It does not answer."), dependency="gate")
WORKS = Succeeded({})
LATER = RetryPolicy(first_delay=timedelta(hours=1), longest_delay=timedelta(hours=1))
"""No job that failed is begun again within a test."""


async def started(book: Book, many: int = 1, needs: str = "gate") -> list[Claim]:
    """Begin attempts at so many jobs that need something."""
    for _ in range(many):
        await book.submit(seconds=0.5, needs=needs)
    return await book.claim(new_id(), await book.release(many))


async def end(book: Book, *outcomes: Outcome) -> list[Claim]:
    """Let the attempts of one job after the other begin and end."""
    claims = []
    for outcome in outcomes:
        (claim,) = await started(book)
        assert await book.settle(claim, outcome, LATER)
        claims.append(claim)
    return claims


async def down(book: Book) -> Mapping[str, Breaker]:
    async with transaction(book.engine) as session:
        return await ledger.breakers(session)


async def try_it(book: Book, claim: Claim) -> Breaker | None:
    """Let an attempt go to find out."""
    breaker = (await down(book))["gate"]
    async with book.engine.connect() as session:
        return await ledger.begin_try(await driver(session), breaker, claim.id, claim.attempt)


async def test_failures_in_a_row_find_it_down_and_from_then_on_none_counts(book: Book) -> None:
    claims = await end(book, DOWN, WORKS, DOWN, DOWN, Interrupted("drain"))
    assert await down(book) == {}
    last, *_ = await end(book, DOWN)

    (breaker,) = (await down(book)).values()
    assert (breaker.name, breaker.title, breaker.error, breaker.failures) == ("gate", "the gate", "gate_down", 3)
    row = await book.row(last.id)
    assert (row["state"], row["failures"]) == ("retrying", 0)
    assert row["due_at"] == breaker.next_try_at == breaker.opened_at + FIRST_WAIT if breaker.opened_at else None
    told = (await book.timeline(last.id))[-1]
    assert (told.event, told.data["why"]) == (Event.RETRYING, "dependency_down")
    assert [(await book.row(claim.id))["failures"] for claim in claims] == [1, 0, 1, 1, 0]


async def test_no_job_dies_of_an_outage_however_often_it_tries(book: Book) -> None:
    (claim,) = await started(book)
    job_id, failures = claim.id, []
    for _ in range(3 * OPENS_AFTER):
        await book.settle(claim, DOWN)
        failures.append((await book.row(job_id))["failures"])
        await book.do("UPDATE jobs SET due_at = now() WHERE id = :id", id=job_id)
        (claim,) = await book.claim(new_id(), await book.release(1))
    assert failures == [1, 2, *[2] * (3 * OPENS_AFTER - 2)]
    await book.settle(claim, WORKS)
    assert (await book.row(job_id))["state"] == "succeeded"
    assert await down(book) == {}
    ended = await book.scalar("SELECT until IS NOT NULL AND until > since FROM outages WHERE dependency = 'gate'")
    assert ended is True


async def test_a_success_of_what_began_before_proves_nothing_and_of_what_began_since_ends_it(book: Book) -> None:
    (early,) = await started(book)
    await end(book, DOWN, DOWN, DOWN)
    await book.settle(early, WORKS)
    assert set(await down(book)) == {"gate"}
    await end(book, WORKS)
    assert await down(book) == {}
    assert await book.scalar("SELECT count(*) FROM outages") == 1


async def test_the_doctor_names_what_is_down(book: Book, database_url: str) -> None:
    async def seen() -> tuple[str, str]:
        (found,) = (one for one in await servers(database_url, None) if one.check == "outside")
        return found.condition, found.seen

    assert await seen() == ("ok", "nothing that jobs need is down")
    await end(book, DOWN, DOWN, DOWN)
    condition, told = await seen()
    assert condition == "warning"
    assert told.startswith("down: the gate (gate) since ")


async def test_who_comes_too_late_says_nothing(book: Book) -> None:
    late = await started(book, 4)
    for claim in late:
        await book.lose(claim.id)
    for claim in late:
        assert not await book.settle(claim, DOWN)
    assert await book.scalar("SELECT coalesce(sum(failures), 0) FROM dependencies") == 0


async def test_failures_that_are_written_together_or_at_once_are_all_counted(book: Book) -> None:
    claims = await started(book, 6)
    await asyncio.gather(*(book.settle(claim, DOWN) for claim in claims))
    assert (await down(book))["gate"].failures == 6
    assert await book.scalar("SELECT count(*) FROM outages") == 1


async def test_who_notes_the_first_failures_of_several_never_waits_for_each_other_for_good(book: Book) -> None:
    add = text("INSERT INTO dependencies (name, title) VALUES (:name, '')")
    said = [Said(down=name, title=name) for name in ("post", "gate")]

    async with transaction(book.engine) as session, transaction(book.engine) as other:
        await session.execute(add, {"name": "gate"})
        await other.execute(text("SELECT 1"))  # begins what the driver's statements then belong to
        noting = asyncio.create_task(dependencies.locked(await driver(other), said))
        while not await book.scalar("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - as it says
            await asyncio.sleep(0.01)
        await session.execute(add, {"name": "post"})
        await session.commit()
        assert set((await noting)[1]) == {"gate", "post"}


async def test_one_at_a_time_tries_it_and_who_is_gone_is_followed_by_another(book: Book) -> None:
    await end(book, DOWN, DOWN, DOWN)
    (first, second) = await started(book, 2)
    breaker = (await down(book))["gate"]
    tried = await try_it(book, first)
    assert tried is not None
    assert (tried.tries, tried.job_id, tried.trying) == (1, first.id, True)
    async with book.engine.connect() as session:  # who read it before, as a dispatcher that leads no more
        assert await ledger.begin_try(await driver(session), breaker, second.id, second.attempt) is None

    assert (await down(book))["gate"].trying
    await book.lose(first.id)
    assert not (await down(book))["gate"].trying
    again = await try_it(book, second)
    assert again is not None
    assert again.tries == 2
    await book.settle(second, DOWN)
    waits = await book.scalar("SELECT extract(epoch FROM next_try_at - now()) FROM dependencies")
    assert 2 < waits <= 4


async def test_it_is_left_alone_for_as_long_as_it_asks(book: Book) -> None:
    await end(book, DOWN, DOWN, Failed(DOWN.error, timedelta(minutes=7), "gate"))
    waits = await book.scalar("SELECT extract(epoch FROM next_try_at - now()) FROM dependencies")
    assert 410 < waits <= 420


async def test_what_is_held_back_waits_and_is_in_nobodys_way(book: Book) -> None:
    await end(book, DOWN, DOWN)
    for needs in ("gate", "gate post", "post", ""):
        await book.submit(seconds=0.5, needs=needs)

    async def counted() -> list[tuple[int, float]]:
        async with transaction(book.engine) as session:
            one, *_ = await store.tallies(session)
            return [(one.waiting, one.work_s), *(await totals(session)).values()]

    assert await counted() == [(6, 3.0), (6, 3.0)]
    await end(book, DOWN)
    assert await counted() == [(7, 1.0), (7, 1.0)]
    async with transaction(book.engine) as session:
        await store.fold_tallies(session, 100)
    assert await counted() == [(7, 1.0), (7, 1.0)]


@pytest.mark.parametrize(("needs", "looks"), [("", 0), ("gate", 1)])
async def test_as_long_as_nothing_is_wrong_an_end_costs_a_look_at_most(
    book: Book, monkeypatch: pytest.MonkeyPatch, needs: str, looks: int
) -> None:
    await end(book, DOWN, WORKS)
    (claim,) = await started(book, needs=needs)
    looked: list[str] = []
    for name in ("named", "locked", "current", "write"):
        monkeypatch.setattr(dependencies, name, _noted(looked, name, getattr(dependencies, name)))
    await book.settle(claim, WORKS)
    assert looked == ["named"] * looks


def _noted(looked: list[str], name: str, statement: Any) -> Any:
    def noted(*asked: Any) -> Any:
        looked.append(name)
        return statement(*asked)

    return noted
