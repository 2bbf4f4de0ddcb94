"""A job that takes worker after worker with it is stopped, with the evidence; nobody is blamed for a bad line."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from invoicing.cli.checks_servers import servers
from invoicing.jobs import service as ledger
from invoicing.jobs.model import Claim, Event, Failed, JobError, Outcome, Rejected, RetryPolicy, State, Succeeded
from invoicing.jobs.store import rescue
from invoicing.kit.db import driver, transaction
from invoicing.lanes import service as lanes

from ..book import WATCHED, Book

ERROR = JobError("broken", "It broke.")
SILENCE = timedelta(seconds=30)
SIGNED = ledger.Signed("support", "support:erika", "The machine had too little memory.")


async def over(book: Book, *claims: Claim) -> None:
    """Let leases run out."""
    ids = [claim.id for claim in claims]
    await book.do("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = ANY(:ids)", ids=ids)


async def again(book: Book, worker: UUID) -> Claim:
    (claim,) = await book.claim(worker, await book.release())
    return claim


async def die(book: Book, claim: Claim) -> None:
    """Lose a worker for good."""
    await over(book, claim)
    await book.rescue()


async def last_entry(book: Book, job: UUID) -> dict[str, Any]:
    return dict((await book.timeline(job))[-1].data)


async def test_a_job_on_which_two_workers_died_is_put_under_quarantine_with_the_evidence(book: Book) -> None:
    first, second = uuid4(), uuid4()
    claim, other = await book.start(first), await book.start(first)
    await over(book, claim, other)
    signs = {first: ledger.Sign("host-1", (await book.row(claim.id))["submitted_at"])}
    watch = ledger.Watch(signs, timedelta(hours=1), timedelta(0))
    assert set((await book.rescue(watch)).values()) == {State.QUEUED}
    assert {one.id for one in await book.claim(second, await book.release(1))} == {claim.id}

    await over(book, claim)
    assert await book.rescue() == {claim.id: State.DEAD}

    row = await book.row(claim.id)
    assert (row["state"], row["error"]["code"], row["failures"]) == ("dead", "poison", 0)
    assert "attempts 1, 2" in row["error"]["message"]
    entry = await last_entry(book, claim.id)
    assert (entry["why"], entry["attempts"]) == ("poison", [1, 2])
    deaths = entry["staff"]["deaths"]
    assert [death["worker"] for death in deaths] == [str(first), str(second)]
    assert [death["host"] for death in deaths] == ["host-1", None]
    assert [one["job"] for one in deaths[0]["beside"]] == [str(other.id)]
    assert deaths[0]["last_heard_at"] < deaths[0]["lost_at"] < deaths[1]["lost_at"]
    assert await book.release(10) == [(other.id, 2)], "it was queued again, or the other job is blamed"


async def test_a_worker_that_is_heard_of_again_did_not_die(book: Book) -> None:
    cut_off = uuid4()
    claim = await book.start(cut_off)
    await die(book, claim)
    await book.renew(cut_off)

    await die(book, await again(book, uuid4()))

    assert (await book.row(claim.id))["state"] == "queued"
    await die(book, await again(book, uuid4()))
    assert (await book.row(claim.id))["error"]["code"] == "poison"


async def test_a_job_waits_with_the_worker_that_may_come_back_before_it_is_blamed(book: Book) -> None:
    """Rescued at once it would be run elsewhere or end; here it is still the worker's own when that is back."""
    await die(book, await book.start(uuid4()))
    worker = uuid4()
    claim = await again(book, worker)
    await over(book, claim)
    just_back = ledger.Watch({}, timedelta(seconds=2), SILENCE)

    assert await book.rescue(just_back) == {}
    assert set(await book.renew(worker, claim)) == {(claim.id, claim.attempt)}
    assert await book.rescue() == {}
    assert await book.settle(claim, Succeeded({}))


async def test_jobs_that_wait_for_a_proof_hold_up_no_others(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescue, "MOST_AT_ONCE", 1)
    monkeypatch.setattr(rescue, "_LOST", rescue._LOST.replace("LIMIT 500", "LIMIT 1"))
    await die(book, await book.start(uuid4()))
    waits = await again(book, uuid4())
    await over(book, waits)
    other = await book.start(uuid4())
    await over(book, other)

    assert await book.rescue(ledger.Watch({}, timedelta(0), SILENCE)) == {other.id: State.QUEUED}


async def test_a_claim_that_a_living_worker_never_learned_of_is_no_death(book: Book) -> None:
    worker = uuid4()
    await die(book, await book.start(uuid4()))
    claim = await again(book, worker)
    await over(book, claim)
    async with transaction(book.engine) as session:
        await lanes.register(session, worker, "host-1", 1, "b", 2, ["normal-small"], ["drill"])
        (known,) = await lanes.all_workers(session)
    watch = ledger.Watch({known.id: ledger.Sign(known.host, known.beat_at)}, timedelta(0), SILENCE)

    assert await book.rescue(watch) == {claim.id: State.QUEUED}


async def test_an_invoice_that_has_its_number_is_tried_again_after_a_growing_wait(book: Book) -> None:
    await die(book, await book.start(uuid4()))
    claim = await again(book, uuid4())
    await book.do("UPDATE jobs SET irrevocable = true WHERE id = :id", id=claim.id)
    waits = []
    for _ in range(3):
        await die(book, claim)
        row = await book.row(claim.id)
        assert (row["state"], row["failures"], row["error"]["code"]) == ("retrying", 0, "worker_lost")
        assert (await book.events(claim.id))[-1] is Event.RETRYING
        assert await book.release() == [], "it does not wait"
        waits.append(await book.scalar("SELECT extract(epoch FROM due_at - now()) FROM jobs WHERE id = :i", i=claim.id))
        await book.do("UPDATE jobs SET due_at = now(), order_at = now() WHERE id = :id", id=claim.id)
        claim = await again(book, uuid4())
    assert waits == sorted(waits)
    assert waits[2] > 4
    assert await book.settle(claim, Succeeded({"number": "7"}))
    assert (await book.row(claim.id))["error"] is None


@pytest.mark.parametrize("outcome", [Failed(ERROR), Rejected(ERROR)])
async def test_an_invoice_that_has_its_number_does_not_die_of_failures_either(book: Book, outcome: Outcome) -> None:
    claim = await book.start(uuid4())
    await book.do("UPDATE jobs SET irrevocable = true WHERE id = :id", id=claim.id)
    once = RetryPolicy(max_attempts=1)
    waits = []
    for failures in (1, 2, 3):
        assert await book.settle(claim, outcome, once)
        row = await book.row(claim.id)
        assert (row["state"], row["failures"], row["error"]["code"]) == ("retrying", failures, "broken")
        assert (await book.events(claim.id))[-1] is Event.RETRYING
        assert row["finished_at"] is None
        assert await book.release() == [], "it does not wait"
        waits.append(await book.scalar("SELECT extract(epoch FROM due_at - now()) FROM jobs WHERE id = :i", i=claim.id))
        await book.do("UPDATE jobs SET due_at = now(), order_at = now() WHERE id = :id", id=claim.id)
        claim = await again(book, uuid4())
    assert waits == sorted(waits)
    assert waits[2] > 7
    assert await book.settle(claim, Succeeded({"number": "7"}))


async def test_a_cancelled_job_ends_cancelled_whoever_died_on_it(book: Book) -> None:
    await die(book, await book.start(uuid4()))
    claim = await again(book, uuid4())
    await book.cancel(claim.id)
    await die(book, claim)
    assert (await book.row(claim.id))["state"] == "cancelled"


async def test_our_staff_have_it_tried_again_from_the_beginning(book: Book) -> None:
    await die(book, await book.start(uuid4()))
    claim = await again(book, uuid4())
    await die(book, claim)
    async with transaction(book.engine) as session:
        found = await ledger.found(session, claim.id)
        assert found is not None
        assert await ledger.retry(session, found, SIGNED, timedelta(0))

    await die(book, await again(book, uuid4()))
    assert (await book.row(claim.id))["state"] == "queued", "a death from before was counted"
    await die(book, await again(book, uuid4()))
    assert "attempts 3, 4" in (await book.row(claim.id))["error"]["message"]


async def test_a_kind_says_how_many_deaths_it_bears(book: Book) -> None:
    claim = await book.start(uuid4())
    await over(book, claim)
    async with book.engine.connect() as session:
        found = await ledger.rescue(await driver(session), WATCHED, {"drill": RetryPolicy(deaths=1)})
    assert found == {claim.id: State.DEAD}


async def test_doctor_names_what_is_under_quarantine_and_where_the_workers_died(book: Book, database_url: str) -> None:
    claim = await book.start(uuid4())
    await die(book, claim)
    await die(book, await again(book, uuid4()))

    found = {one.check: one for one in await servers(database_url, None)}

    assert found["quarantine"].condition == "warning"
    assert str(claim.id) in found["quarantine"].seen
    assert "attempt 1 on" in found["quarantine"].seen
    assert "attempt 2 on" in found["quarantine"].seen
    assert "jobs retry" in found["quarantine"].remedy
