"""A finished job's endpoint is told at least once, under one id, signed, in order; whatever the receiver does."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from invoicing.jobs.model import Succeeded
from invoicing.kit.db import transaction
from invoicing.outbox import service as outbox

from .conftest import Post
from .receiver import Got, receiving, status


def verified(got: Got, secret: str) -> object:
    """Verify as a customer would, by code that is not ours."""
    return Webhook(secret).verify(got.body.decode(), got.headers)


async def test_a_finished_job_is_told_signed_with_what_its_customer_needs(post: Post) -> None:
    async with receiving() as receiver:
        _, secret = await post.endpoint(receiver.url)
        post.start()
        job_id = await post.finish()
        (got,) = await receiver.wait_for(1)
        await post.settled("delivered")
    told = verified(got, secret)
    assert told == got.json
    assert (got.json["type"], got.json["data"]["id"]) == ("job.succeeded", str(job_id))
    data = got.json["data"]
    assert (data["kind"], data["state"], data["error"], data["href"]) == (
        "drill",
        "succeeded",
        None,
        f"/v1/jobs/{job_id}",
    )
    assert datetime.fromisoformat(got.json["timestamp"]) == datetime.fromisoformat(data["finished_at"])
    (message,) = await post.messages()
    assert (got.id, got.body.decode()) == (str(message["id"]), message["body"])
    assert message["id"].version == 7
    (attempt,) = await post.attempts()
    assert (attempt["number"], attempt["outcome"], attempt["status"]) == (1, "delivered", 200)


async def test_a_signature_holds_for_no_other_secret_and_no_other_body(post: Post) -> None:
    async with receiving() as receiver:
        _, secret = await post.endpoint(receiver.url)
        _, other = await post.endpoint(receiver.url + "2")
        post.start()
        await post.finish()
        await receiver.wait_for(2)
        await post.settled("delivered", "delivered")
    (got,) = [one for one in receiver.got if one.path == "/hook"]
    verified(got, secret)
    with pytest.raises(WebhookVerificationError):
        verified(got, other)
    with pytest.raises(WebhookVerificationError):
        verified(Got(got.path, got.headers, got.body.replace(b"succeeded", b"cancelled")), secret)
    with pytest.raises(WebhookVerificationError):
        verified(Got(got.path, got.headers | {"webhook-timestamp": "1"}, got.body), secret)


async def test_every_final_event_is_told_and_nothing_else(post: Post) -> None:
    async with receiving() as receiver:
        await post.endpoint(receiver.url)
        post.start()
        succeeded, dead = await post.finish(), await post.die()
        cancelled = post.book.request(seconds=0)
        await post.book.accept(cancelled)
        await post.book.cancel(cancelled.id)
        await receiver.wait_for(3)
        await post.settled("delivered", "delivered", "delivered")
    told = {(got.json["type"], got.json["data"]["id"]): got.json["data"] for got in receiver.got}
    assert set(told) == {
        ("job.succeeded", str(succeeded)),
        ("job.dead", str(dead)),
        ("job.cancelled", str(cancelled.id)),
    }
    assert told["job.dead", str(dead)]["error"]["field"] == "/payload/seconds"


async def test_an_endpoint_is_told_only_what_it_wants_and_of_the_jobs_that_name_it(post: Post) -> None:
    async with receiving() as receiver:
        first, _ = await post.endpoint(receiver.url)
        second, _ = await post.endpoint(receiver.url + "2")
        deaths, _ = await post.endpoint(receiver.url + "3", ["job.dead"])
        everywhere = await post.finish()
        by_url = await post.finish(receiver.url)
        by_id = await post.finish(str(second))
        to_deaths = await post.finish(str(deaths))
        nowhere = await post.finish("https://gone.example.com/")
    told = {(row["endpoint_id"], row["job_id"]) for row in await post.messages()}
    assert told == {(first, everywhere), (second, everywhere), (first, by_url), (second, by_id)}
    assert to_deaths != nowhere


async def test_a_message_exists_exactly_when_the_end_of_its_job_does(post: Post) -> None:
    await post.endpoint("http://127.0.0.1:9/")
    claim = await post.begin()
    assert await post.messages() == []
    async with post.engine.connect() as session:
        await session.exec_driver_sql(
            "INSERT INTO timeline (job_id, seq, event, state, attempt) VALUES ($1, 99, 'succeeded', 'succeeded', 1)",
            (claim.id,),
        )
        await session.rollback()
    assert await post.messages() == []
    await post.book.settle(claim, Succeeded({}))
    assert [row["event"] for row in await post.messages()] == ["job.succeeded"]
    await post.book.settle(claim, Succeeded({}))  # a late finisher ends nothing, and tells nobody
    assert len(await post.messages()) == 1


async def test_a_customer_without_endpoints_has_no_messages_and_another_hears_nothing(post: Post) -> None:
    await post.finish()
    assert await post.messages() == []


@pytest.mark.parametrize("code", [300, 302, 307, 308, 400, 401, 404, 500, 503])
async def test_only_a_2xx_delivers(post: Post, code: int) -> None:
    async with receiving() as inside, receiving(status(code, f"Location: {inside.url}")) as receiver:
        await post.endpoint(receiver.url)
        post.start()
        await post.finish()
        await receiver.wait_for(1)
        await post.settled("waiting")
        receiver.answer = status(204)
        await post.hurry()
        await post.settled("delivered")
    assert inside.connections == 0
    assert len({got.id for got in receiver.got}) == 1
    assert [(row["outcome"], row["status"]) for row in await post.attempts()] == [("refused", code), ("delivered", 204)]


async def test_a_receiver_that_is_down_is_told_when_it_is_back(post: Post) -> None:
    async with receiving() as receiver:
        port = receiver.port
    endpoint_id, _ = await post.endpoint(f"http://127.0.0.1:{port}/hook")
    post.start()
    await post.finish()
    await post.settled("waiting")
    (failed,) = await post.attempts()
    assert (failed["outcome"], failed["status"]) == ("connect", None)
    assert (await post.row(endpoint_id))["failures"] == 1
    async with receiving() as again:
        await post.do("UPDATE endpoints SET url = :url", url=again.url)
        await post.hurry()
        await again.wait_for(1)
        await post.settled("delivered")
    assert (await post.row(endpoint_id))["failures"] == 0


async def test_a_receiver_that_asks_for_time_is_given_it(post: Post) -> None:
    async with receiving(status(429, "Retry-After: 3600")) as receiver:
        endpoint_id, _ = await post.endpoint(receiver.url)
        post.start()
        await post.finish()
        await post.settled("waiting")
        await post.finish()
        await post.until(lambda: quiet(post))
        (wait,) = await post.rows("SELECT min(due_at) - now() AS left FROM messages WHERE attempts = 1")
        assert timedelta(minutes=55) < wait["left"] <= timedelta(hours=1)
        row = await post.row(endpoint_id)
        assert row["open_until"] - datetime.now(UTC) > timedelta(minutes=55)
    assert len(receiver.got) == 1, "the second message waits too: it was the endpoint that asked"


async def quiet(post: Post) -> bool:
    return len(await post.messages()) == 2


async def test_a_receiver_that_is_gone_is_asked_no_more_until_its_customer_says_so(post: Post) -> None:
    async with receiving(status(410)) as receiver:
        endpoint_id, _ = await post.endpoint(receiver.url)
        post.start()
        await post.finish()
        await post.settled("waiting")
        row = await post.row(endpoint_id)
        assert row["disabled_at"] is not None
        assert "410" in row["disabled_why"]
        receiver.answer = status(200)
        await post.finish()
        await post.hurry()
        assert await post.relay().start_due() == 0
        async with transaction(post.engine) as session:
            await outbox.enable(session, post.principal, endpoint_id)
        await post.hurry()
        await post.settled("delivered", "delivered")
    assert len(receiver.got) == 3
