"""Numbers are gapless, whatever happens to those who want them: tax auditors ask for every number in between."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from invoicing.invoices.tables import invoices
from invoicing.jobs.model import FINISHED, State

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SELLERS = ("DE136695976", "ATU13585627")
_INVOICES = 40
SLOTS = 4
_MOST_KILLS = 2  # an attempt fewer than the kind allows, so that no job dies of them
Example = Callable[[str], dict[str, Any]]


def _request(example: Example, place: int) -> tuple[dict[str, Any], bool]:
    """Give the request at a place, and whether the rules will refuse it."""
    request = example("small")
    payload = request["payload"]
    payload["seller"]["vat_id"] = _SELLERS[place % 2]
    wrong = place % 9 == 4
    if wrong:
        payload["lines"][0]["unit"] = "FURLONG"
    return request, wrong


class _Trouble:
    """What befalls the attempts: kills and cancellations, drawn from a seed."""

    def __init__(self, office: Any, seed: int, within_s: float) -> None:
        self.office = office
        self.within_s = within_s
        self.draw = random.Random(seed)
        self.kills: defaultdict[UUID, int] = defaultdict(int)
        self.refused: list[UUID] = []

    async def befall(self, job: UUID, attempt: "asyncio.Task[None]") -> None:
        """Wait a moment within the time that an attempt takes, then perhaps do harm."""
        chance = self.draw.random()
        await asyncio.sleep(self.draw.uniform(0, self.within_s))
        if attempt.done():
            return
        if chance < 0.35 and self.kills[job] < _MOST_KILLS:
            self.kills[job] += 1
            if (pack := self.office.pack_of(job)) is not None and pack.child is not None:
                pack.child.kill()
        elif chance < 0.6:
            held = await self.office.number_held(job)
            if await self.office.cancel(job) is None:
                self.refused.append(job)
            else:
                assert held is None, "a job with a number was cancelled"


async def _carry_through(office: Any, job: UUID, trouble: _Trouble, places: asyncio.Semaphore) -> None:
    async with places:
        while (await office.job(job)).state not in FINISHED:
            attempt = await office.start(job)
            await trouble.befall(job, attempt)
            await attempt


async def _attempt_s(office: Any, example: Example) -> float:
    """Tell how long an attempt takes here, once all is warm."""
    took = 0.0
    for _ in range(2):
        job = await office.submit(await office.customer(), example("small"))
        began = time.monotonic()
        await office.finish(job)
        took = time.monotonic() - began
    return took


async def test_numbers_have_no_gap_and_no_double_through_kills_cancellations_and_refusals(
    office: Any, example: Example
) -> None:
    customers = [await office.customer(), await office.customer()]
    trouble, places = _Trouble(office, 1, await _attempt_s(office, example)), asyncio.Semaphore(SLOTS)
    wrong: set[UUID] = set()
    wanted: list[UUID] = []
    for place in range(_INVOICES):
        request, is_wrong = _request(example, place)
        job = await office.submit(customers[place // 2 % 2], request, checked=False)
        wanted.append(job)
        wrong |= {job} if is_wrong else set()
    await asyncio.gather(*(_carry_through(office, job, trouble, places) for job in wanted))

    ended = [await office.job(job) for job in wanted]
    async with office.engine.connect() as session:
        held = (await session.execute(select(invoices).where(invoices.c.job_id.in_(wanted)))).all()
    of_series = defaultdict(list)
    for row in held:
        of_series[row.customer_id, row.seller, row.series].append(row.sequence)
    assert len(of_series) == 4
    for sequences in of_series.values():
        assert sorted(sequences) == list(range(1, len(sequences) + 1))
    issued = {row.job_id for row in held if row.issued_at is not None}
    assert issued == {row.job_id for row in held}, "every number belongs to an issued invoice"
    assert issued == {job.id for job in ended if job.state is State.SUCCEEDED}
    assert {job.id for job in ended if job.state is State.DEAD} <= wrong
    assert sum(trouble.kills.values()) > 3
    assert any(job.state is State.CANCELLED for job in ended)
    numbers = {row.job_id: row.number for row in held}
    assert all(job.result["number"] == numbers[job.id] for job in ended if job.result is not None)


async def test_an_invoice_that_has_its_number_cannot_be_cancelled_any_more(office: Any, example: Example) -> None:
    job = await office.submit(await office.customer(), example("small"))
    async with office.held_before_issuing(job):
        attempt = await office.start(job)
        number = await office.until_numbered(job)
        cancelling = asyncio.create_task(office.cancel(job))
        await asyncio.sleep(0.05)
    assert await cancelling is None
    await attempt
    ended = await office.ended(job)
    assert (ended.job.state, ended.number) == (State.SUCCEEDED, number)


async def test_an_invoice_cancelled_before_it_has_a_number_leaves_the_number_to_the_next(
    office: Any, example: Example
) -> None:
    customer = await office.customer()
    first, second = [await office.submit(customer, example("small")) for _ in range(2)]
    async with office.children_stopped():
        attempt = await office.start(first)
        assert await office.cancel(first) is State.RUNNING
    await attempt
    assert (await office.job(first)).state is State.CANCELLED
    assert await office.number_held(first) is None
    assert (await office.finish(second)).number == "2026-000001"


@pytest.mark.parametrize("lines", [1, 310])
async def test_killed_between_its_number_and_its_issue_an_invoice_keeps_the_number_and_every_byte(
    lines: int, office: Any, example: Example, bills: Callable[[int], bytes]
) -> None:
    request = bills(lines) if lines > 1 else example("small")
    undisturbed = await office.issue(await office.customer(), request)
    customer = await office.customer()
    job = await office.submit(customer, request)
    async with office.held_before_issuing(job):
        attempt = await office.start(job)
        number = await office.until_numbered(job)
        await office.kill(job)
    await attempt
    assert (await office.job(job)).state is State.RETRYING
    assert await office.cancel(job) is None, "it holds a number"
    ended = await office.finish(job)
    assert ended.number == number
    assert ended.job.attempt == 2
    assert ended.files == undisturbed.files
    assert ended.job.result == undisturbed.job.result
    assert (await office.issue(customer, example("small"))).number == "2026-000002"


async def test_told_to_stop_while_it_is_being_issued_an_invoice_is_finished_all_the_same(
    office: Any, example: Example
) -> None:
    """Stopping would save nothing, and show a job in the queue whose files are issued already."""
    job = await office.submit(await office.customer(), example("small"))
    async with office.held_before_issuing(job):
        attempt = await office.start(job)
        await office.until_numbered(job)
        office.stop(job, "drain")
        await asyncio.sleep(0.05)
    await attempt
    ended = await office.job(job)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 1)
    assert (ended.progress.done, ended.progress.total) == (1, 1)
