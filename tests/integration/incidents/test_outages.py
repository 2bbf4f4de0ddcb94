"""What is down outside is one incident, whatever fails by it, and touches those who need it."""

from datetime import timedelta

from invoicing.incidents import noticing
from invoicing.incidents.model.causes import Cause
from invoicing.incidents.store import members
from invoicing.jobs.model import Failed, JobError, RetryPolicy, Succeeded

from ..book import Book
from .conftest import Lookout
from .test_keeping import other_customer


async def test_an_outage_is_one_incident_from_when_it_is_found_until_a_job_has_come_through(
    book: Book, lookout: Lookout
) -> None:
    worker, down = await lookout.worker(), Failed(JobError("register_down", "No."), dependency="gate")
    policy = RetryPolicy(max_attempts=9, first_delay=timedelta(hours=1), longest_delay=timedelta(hours=1))
    for _ in range(6):
        assert await book.settle(await book.start(worker, needs="gate"), down, policy)
    mine, book.customer_id = book.customer_id, await other_customer(book)
    for needs in ("gate post", "gate", "post", ""):
        await book.submit(needs=needs)
    for held in ("held = true", "state = 'in_review'"):  # whatever is down, these wait for something else
        await book.do(f"UPDATE jobs SET {held} WHERE id = :id", id=await book.submit(needs="gate"))
    await lookout.look(thorough=False)
    (incident,) = await lookout.all()
    assert (incident.cause, incident.scope, incident.state) == (Cause.DEPENDENCY_DOWN, "dependency:gate", "open")
    assert (incident.blast.jobs, incident.blast.customers) == (8, 2)
    assert {name: incident.evidence[name] for name in ("title", "error", "failures")} == {
        "title": "the gate", "error": "register_down", "failures": 6,
    }  # fmt: skip
    async with book.engine.connect() as session:
        found = await members.page(session, incident, None, 100)
        touched = await noticing.touching(session, incident)
    assert [one.state for one in found].count("retrying") == 6
    assert len(found) == 8
    assert {who: touch.jobs for who, touch in touched.items()} == {mine: 6, book.customer_id: 2}

    tickets = await book.release()
    for job, attempt in tickets:
        await book.do("UPDATE jobs SET due_at = now() WHERE id = :id", id=job)
        for claim in await book.claim(worker, [(job, attempt)]):
            await book.settle(claim, down if claim.needs == "gate post" else Succeeded({}), policy)
    for _ in range(4):
        await lookout.look()
    assert [one.scope for one in await lookout.all()] == ["dependency:gate"], "no second one of the same failures"
    await lookout.look(later=60)
    assert await lookout.live() == []
