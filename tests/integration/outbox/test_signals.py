"""What monitoring and doctor see of the outbox."""

from invoicing.cli.checks import BROKEN, OK, WARNING, Finding
from invoicing.cli.checks_servers import servers

from .conftest import Post


async def outbox(post: Post) -> Finding:
    (found,) = [one for one in await servers(post.url, None) if one.check == "outbox"]
    return found


async def test_doctor_tells_dead_letters_from_a_relay_that_is_not_there(post: Post) -> None:
    endpoint, _ = await post.endpoint("http://127.0.0.1:9/hook")
    await post.queue(endpoint, 2)
    assert (await outbox(post)).condition == OK
    await post.do("UPDATE messages SET due_at = now() - interval '5 min'")
    late = await outbox(post)
    assert late.condition == BROKEN
    assert "watchdog" in late.remedy
    await post.do("UPDATE messages SET state = 'dead', finished_at = now()")
    dead = await outbox(post)
    assert (dead.condition, dead.seen) == (WARNING, "2 dead letters")


async def test_what_waits_for_an_endpoint_that_is_left_alone_is_no_fault_of_the_relays(post: Post) -> None:
    endpoint, _ = await post.endpoint("http://127.0.0.1:9/hook")
    await post.queue(endpoint, 1)
    await post.do("UPDATE messages SET due_at = now() - interval '5 min'")
    await post.do("UPDATE endpoints SET open_until = now() + interval '1 min'")
    found = await outbox(post)
    assert (found.condition, found.seen) == (OK, "no dead letter; left alone for a while because they failed: 1")
