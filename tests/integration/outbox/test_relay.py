"""What relays do when one dies, when receivers misbehave, and when there is much to send."""

import asyncio
import logging
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from standardwebhooks.webhooks import Webhook

from invoicing.kit.db import transaction
from invoicing.kit.egress import Egress, Reply
from invoicing.kit.logs import JsonLines
from invoicing.outbox import relaying
from invoicing.outbox import service as outbox
from invoicing.outbox.model import Answered

from .conftest import HERE, Post
from .receiver import OK, Got, receiving, status

POSTMAN = Path(__file__).with_name("postman.py")


async def test_a_relay_killed_between_the_answer_and_the_mark_has_the_message_sent_again_under_its_id(
    post: Post,
) -> None:
    async with receiving() as receiver:
        await post.endpoint(receiver.url)
        job_id = await post.finish()
        process = await asyncio.create_subprocess_exec(sys.executable, str(POSTMAN), post.url, "2")
        try:
            async with post.engine.connect() as held:
                # the receiver answers 200 while nobody can write that it did
                receiver.answer = lambda _got: hold_and_answer(held)
                await receiver.wait_for(1, within=60)
                await post.until(lambda: waits_for_a_lock(post), within=30)
                process.kill()
                await process.wait()
                await held.rollback()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        (message,) = await post.messages()
        assert (message["state"], message["attempts"]) == ("waiting", 1), "the customer knows, and we do not"
        receiver.answer = OK
        post.start()
        await receiver.wait_for(2, within=30)
        await post.settled("delivered")
    assert {got.json["data"]["id"] for got in receiver.got} == {str(job_id)}
    assert {got.id for got in receiver.got} == {str(message["id"])}
    assert {got.body for got in receiver.got} == {message["body"].encode()}
    assert [(row["number"], row["outcome"]) for row in await post.attempts()] == [(1, "lost"), (2, "delivered")]


async def hold_and_answer(held: Any) -> bytes:
    await held.exec_driver_sql("SELECT 1 FROM messages FOR UPDATE")
    return OK


async def waits_for_a_lock(post: Post) -> bool:
    return bool(
        await post.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%messages%'")
    )


async def test_a_late_relay_writes_nothing_over_what_another_did(post: Post) -> None:
    async with receiving() as receiver:
        await post.endpoint(receiver.url)
        await post.finish()
        late = await post.take(lease=timedelta(0))
        (again,) = await post.take(lease=timedelta(seconds=60))
        assert again.id == late[0].id
        async with transaction(post.engine) as session:
            _, current = await relaying.conclude(session, late[0], Answered(500), 0.5)
        assert not current
        (message,) = await post.messages()
        assert message["lease_until"] is not None, "the second one still has it"
        async with transaction(post.engine) as session:
            _, current = await relaying.conclude(session, again, Answered(200), 0.5)
        assert current
    assert [row["outcome"] for row in await post.attempts()] == ["refused", "delivered"]


async def test_two_relays_beside_each_other_send_each_message_once(post: Post) -> None:
    async with receiving() as receiver:
        endpoint_id, _ = await post.endpoint(receiver.url)
        await post.queue(endpoint_id, 60)
        post.start()
        post.start()
        await post.settled(*["delivered"] * 60)
    assert len(receiver.got) == len({got.id for got in receiver.got}) == 60


async def test_no_more_are_under_way_at_one_endpoint_than_may_be_over_all_relays(post: Post) -> None:
    async def slow(_got: Got) -> bytes:
        await asyncio.sleep(0.05)
        return OK

    async with receiving(slow) as receiver:
        endpoint_id, _ = await post.endpoint(receiver.url)
        await post.queue(endpoint_id, 24)
        for _ in range(3):
            post.start()
        await post.settled(*["delivered"] * 24)
    assert 2 <= receiver.most_at_once <= relaying.Bounds().each


async def test_of_one_job_a_later_message_waits_until_the_earlier_is_delivered_or_given_up(post: Post) -> None:
    async with receiving(status(500)) as receiver:
        await post.endpoint(receiver.url)
        post.start()
        job_id = await post.die()
        await post.settled("waiting")
        await post.do(
            "INSERT INTO timeline (job_id, seq, event, state, attempt) VALUES (:id, 9, 'succeeded', 'succeeded', 2)",
            id=job_id,
        )
        other = await post.finish()
        await post.until(lambda: told(receiver.got, other))
        assert [got.json["type"] for got in receiver.got if got.json["data"]["id"] == str(job_id)] == ["job.dead"]
        receiver.answer = OK
        await post.hurry()
        await post.until(lambda: told(receiver.got, job_id, "job.succeeded"))
        await post.hurry()
        await post.settled("delivered", "delivered", "delivered")
    types = [got.json["type"] for got in receiver.got if got.json["data"]["id"] == str(job_id)]
    assert types == sorted(types, key=["job.dead", "job.succeeded"].index)


async def told(got: list[Got], job_id: UUID, event: str = "job.succeeded") -> bool:
    return any(one.json["data"]["id"] == str(job_id) and one.json["type"] == event for one in got)


async def test_whoever_does_not_answer_costs_the_patience_and_no_more(post: Post) -> None:
    async def never(_got: Got) -> bytes:
        await asyncio.sleep(60)
        return OK

    async with receiving(never) as receiver:
        await post.endpoint(receiver.url)
        post.start(Egress(allowed=HERE, patience_s=0.2))
        await post.finish()
        await post.settled("waiting")
    (attempt,) = await post.attempts()
    assert attempt["outcome"] == "timeout"


async def test_a_huge_answer_delivers_and_is_not_read_to_its_end(post: Post) -> None:
    async with receiving(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"a" * 1_000_000) as receiver:
        await post.endpoint(receiver.url)
        post.start()
        await post.finish()
        await post.settled("delivered")
    assert len(receiver.got) == 1


async def test_a_private_address_is_refused_when_it_is_sent_to_and_says_so(post: Post) -> None:
    async def rebound(_host: str, _port: int) -> list[str]:
        return ["169.254.169.254"]

    await post.endpoint("https://hooks.example.com/in")
    post.start(Egress(resolver=rebound))
    await post.finish()
    await post.settled("waiting")
    (attempt,) = await post.attempts()
    assert attempt["outcome"] == "address_not_allowed"
    assert "169.254.169.254" in attempt["explanation"]


async def test_during_a_rotation_both_secrets_verify_and_afterwards_the_new_one_alone(post: Post) -> None:
    async with receiving() as receiver:
        endpoint_id, old = await post.endpoint(receiver.url)
        async with transaction(post.engine) as session:
            new = (await outbox.rotate(session, post.principal, endpoint_id)).secret
        assert new is not None
        post.start()
        await post.finish()
        await post.settled("delivered")
        await post.do("UPDATE endpoints SET old_secret_until = now()")
        await post.finish()
        await post.settled("delivered", "delivered")
    during, after = receiver.got
    for secret in (old, new):
        Webhook(secret).verify(during.body.decode(), during.headers)
    Webhook(new).verify(after.body.decode(), after.headers)
    assert [len(got.headers["webhook-signature"].split()) for got in receiver.got] == [2, 1]


async def test_what_could_not_be_delivered_in_three_days_is_kept_and_can_be_resent(post: Post) -> None:
    async with receiving(status(500)) as receiver:
        endpoint_id, _ = await post.endpoint(receiver.url)
        post.start()
        await post.finish()
        await post.settled("waiting")
        await post.do("UPDATE messages SET gives_up_at = now()")
        await post.hurry()
        await post.settled("dead")
        (message,) = await post.messages()
        receiver.answer = OK
        async with transaction(post.engine) as session:
            await outbox.resend(session, post.principal, endpoint_id, message["id"])
        await post.settled("delivered")
        async with transaction(post.engine) as session:
            await outbox.resend(session, post.principal, endpoint_id, message["id"])
        await receiver.wait_for(4)
        await post.settled("delivered")
    assert {got.id for got in receiver.got} == {str(message["id"])}
    assert len({got.body for got in receiver.got}) == 1
    assert [row["status"] for row in await post.attempts()] == [500, 500, 200, 200]


async def test_neither_secrets_nor_bodies_nor_addresses_are_logged(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiving(status(500)) as receiver:
        endpoint_id, secret = await post.endpoint(receiver.url + "?token=of-the-customer")
        async with transaction(post.engine) as session:
            rotated = (await outbox.rotate(session, post.principal, endpoint_id)).secret
        post.start()
        await post.finish()
        await post.settled("waiting")
        (errand,) = await hurried(post)
    written = "\n".join(JsonLines().format(record) for record in caplog.records)
    assert '"action": "outbox.tried"' in written
    for hidden in (secret, str(rotated), secret.removeprefix("whsec_"), "of-the-customer"):
        assert hidden not in written + repr(errand)


async def hurried(post: Post) -> Any:
    for one, _ in post.relays:
        one.stop()
    await post.close()
    await post.hurry()
    return await post.take()


async def test_a_message_that_trips_us_up_is_tried_like_one_that_is_refused_and_holds_up_no_other(post: Post) -> None:
    class Tripping(Egress):
        async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
            if url.endswith("/trip"):
                raise RuntimeError("a mistake of ours")
            return await super().post(url, headers, body)

    async with receiving() as receiver:
        tripping, _ = await post.endpoint("http://127.0.0.1:9/trip")
        await post.endpoint(receiver.url)
        post.start(Tripping(allowed=HERE))
        await post.finish()
        await receiver.wait_for(1)
        await post.until(lambda: tried(post, tripping))
    (trial,) = [row for row in await post.attempts() if row["outcome"] == "internal"]
    assert trial["explanation"] == "Something went wrong on our side."


async def tried(post: Post, endpoint_id: UUID) -> bool:
    return bool((await post.row(endpoint_id))["failures"])
