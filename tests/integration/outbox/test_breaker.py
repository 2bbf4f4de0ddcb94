"""An endpoint that fails costs a probe now and then, whatever is queued for it, and nobody else anything."""

from uuid import UUID

from invoicing.kit.db import transaction
from invoicing.outbox import relaying
from invoicing.outbox.model import Answered
from invoicing.outbox.store import relay

from .conftest import Post
from .receiver import OK, receiving, status


async def test_ten_thousand_messages_for_a_dead_endpoint_cost_one_probe_and_hold_up_nobody(post: Post) -> None:
    dead, _ = await post.endpoint("http://127.0.0.1:9/dead")
    await post.queue(dead, 10_000)
    await post.do("ANALYZE messages")
    well, _ = await post.endpoint("http://127.0.0.1:9/well")
    await post.queue(well, 20)
    seen: dict[UUID, int] = {dead: 0, well: 0}
    for _ in range(40):
        errands = await post.take()
        for errand in errands:
            seen[errand.endpoint_id] += 1
            answered = Answered(200 if errand.endpoint_id == well else 503)
            async with transaction(post.engine) as session:
                await relaying.conclude(session, errand, answered, 0.5)
    assert seen[well] == 20, "every message of the other endpoint was taken, four at a time, beside the dead one"
    assert seen[dead] <= 8, "five failures open the breaker; those under way with the fifth are the last"
    assert not await post.take()
    await post.do("UPDATE endpoints SET open_until = now() WHERE id = :id", id=dead)
    probe = await post.take()
    assert [errand.probing for errand in probe] == [True]
    assert not await post.take(), "one probe at a time, whoever asks"
    plan = "\n".join(
        row["QUERY PLAN"]
        for row in await post.rows(
            "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) "
            + relay._READY.text.replace(":probing", "false")
            .replace(":channels", "ARRAY['webhook']")
            .replace(":most", "256")
        )
    )
    assert "Seq Scan on messages" not in plan, plan


async def test_a_probe_that_succeeds_lets_the_rest_through(post: Post) -> None:
    async with receiving(status(500)) as receiver:
        endpoint_id, _ = await post.endpoint(receiver.url)
        await post.queue(endpoint_id, 12)
        started = post.start()
        await post.until(lambda: breaker_open(post, endpoint_id))
        failed = len(receiver.got)
        assert failed < 12
        receiver.answer = OK
        await post.do("UPDATE endpoints SET open_until = now()")
        started._woken.set()
        await receiver.wait_for(failed + 1)
        await post.hurry()
        await post.settled(*["delivered"] * 12)
        row = await post.row(endpoint_id)
    assert (row["failures"], row["open_until"]) == (0, None)


async def test_a_probe_that_fails_says_by_itself_how_long_its_endpoint_is_left_alone(post: Post) -> None:
    endpoint_id, _ = await post.endpoint("http://127.0.0.1:9/")
    await post.queue(endpoint_id, 3)
    await post.do("UPDATE endpoints SET failures = 5, open_until = now()")
    (probe,) = await post.take()
    async with transaction(post.engine) as session:
        await relaying.conclude(session, probe, Answered(500), 0.0)
    (left,) = await post.rows("SELECT extract(epoch FROM open_until - now()) AS seconds FROM endpoints")
    assert 40 < left["seconds"] <= 48, "a minute less a fifth, though the probe's lease would last longer"
    await post.do("UPDATE endpoints SET failures = 1, open_until = now()")  # as after a Retry-After that is over
    (probe,) = await post.take()
    async with transaction(post.engine) as session:
        await relaying.conclude(session, probe, Answered(500), 0.0)
    row = await post.row(endpoint_id)
    assert (row["failures"], row["open_until"]) == (2, None)


async def breaker_open(post: Post, endpoint_id: UUID) -> bool:
    row = await post.row(endpoint_id)
    leased = await post.rows("SELECT 1 FROM messages WHERE lease_until IS NOT NULL")
    return row["open_until"] is not None and not leased


async def test_messages_behind_an_open_breaker_are_given_up_when_their_time_is_over_and_others_never(
    post: Post,
) -> None:
    dead, _ = await post.endpoint("http://127.0.0.1:9/dead")
    well, _ = await post.endpoint("http://127.0.0.1:9/well")
    await post.queue(dead, 3)
    await post.queue(well, 3)
    await post.do("UPDATE messages SET gives_up_at = now() - interval '1 s'")
    await post.do("UPDATE endpoints SET failures = 9, open_until = now() + interval '1 h' WHERE id = :id", id=dead)
    async with transaction(post.engine) as session:
        assert await relaying.expire(session) == 3
    states = {(row["endpoint_id"], row["state"]) for row in await post.messages()}
    assert states == {(dead, "dead"), (well, "waiting")}, "what was never tried is tried once, however late we are"
