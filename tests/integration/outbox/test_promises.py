"""A promise that will not be kept is told before it breaks, signed, in order, and it is known since when."""

from datetime import timedelta
from uuid import uuid4

from invoicing.diagnosis import service as diagnosis
from invoicing.jobs import promising
from invoicing.jobs import service as ledger
from invoicing.jobs.model import News, Succeeded
from invoicing.kit.db import transaction
from workers.keeper import Keeper

from .conftest import Post
from .receiver import receiving
from .test_delivery import verified


async def let_pass(post: Post, seconds: float) -> None:
    """Let time pass for the only job there is."""
    past = {"by": timedelta(seconds=seconds)}
    await post.do(
        "UPDATE jobs SET submitted_at = submitted_at - CAST(:by AS interval), "
        "promise_due = promise_due - CAST(:by AS interval)",
        **past,
    )


async def test_a_customer_hears_of_a_broken_promise_first_from_us(post: Post) -> None:
    keeper = Keeper(post.engine, diagnosis.explain)
    async with receiving() as receiver:
        _, secret = await post.endpoint(receiver.url)
        post.start()
        await post.do(
            "INSERT INTO pauses (id, lane, since, until, reason, by) VALUES "
            "(gen_random_uuid(), 'normal-small', now(), now() + interval '1 hour', 'The database moves.', 'ops:Erika')"
        )
        job_id = await post.book.submit()
        await let_pass(post, 275)  # of five minutes
        assert await keeper.round() == 1
        (at_risk,) = await receiver.wait_for(1)
        assert verified(at_risk, secret) == at_risk.json
        assert at_risk.json["type"] == "job.promise_at_risk"
        assert at_risk.json["data"]["reason"]["code"] == "paused"
        assert "The database moves." in at_risk.json["data"]["reason"]["message"]
        assert b"Erika" not in at_risk.body
        await let_pass(post, 60)
        assert await keeper.round() == 1
        await receiver.wait_for(2)
        (claim,) = await post.book.claim(uuid4(), await post.book.release())
        await post.book.settle(claim, Succeeded({}))
        got = await receiver.wait_for(3)
        await post.settled("delivered", "delivered", "delivered")
    assert [one.json["type"] for one in got] == ["job.promise_at_risk", "job.promise_missed", "job.succeeded"]
    async with transaction(post.engine) as session:
        job = await ledger.found(session, job_id)
        assert job is not None
        told = (await promising.history(session, [job]))[job_id]
    assert [change.news for change in told] == [News.AT_RISK, News.MISSED]
    assert all(change.told_at is not None and change.told_at >= change.at for change in told)
