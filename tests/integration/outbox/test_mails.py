"""Mails: nobody gets any who did not ask for them; what is sent is marked only when the server has taken it."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
import trustme

from invoicing.customers import service as customers
from invoicing.customers.model import Principal, Role
from invoicing.diagnosis.words import retell
from invoicing.jobs.model import JobError, Rejected
from invoicing.kit.clock import now
from invoicing.kit.db import transaction
from invoicing.kit.problems import Problem
from invoicing.kit.smtp import Mailer, SmtpError, SmtpServer
from invoicing.outbox import addresses
from invoicing.outbox.addresses import Wish
from invoicing.outbox.carrying import Mails
from invoicing.outbox.letters import letter_of
from invoicing.outbox.model import Answered, Errand, Unanswered
from invoicing.outbox.relaying import Bounds
from workers.outbox import Relay

from .conftest import Post
from .postbox import Postbox, mailing

SENDER = "Invoices <invoices@example.com>"
ADDRESS = "billing@shop.example"
ERRAND = Errand(
    UUID(int=7), 1, 1, UUID(int=8), "job.succeeded", f"mailto:{ADDRESS}",
    '{"type": "job.succeeded", "timestamp": "2026-11-22T09:09:23.509Z", "data": {"id": "1", "kind": "drill"}}',
    [], timedelta(days=3), probing=False, language="en",
)  # fmt: skip


def mails(port: int, patience_s: float = 5.0) -> Mails:
    return Mails(
        Mailer(SmtpServer("127.0.0.1", port, "none"), patience_s=patience_s), SENDER, partial(letter_of, retell=retell)
    )


@pytest.fixture
async def box(post: Post) -> AsyncIterator[Postbox]:
    async with mailing() as box:
        relay = Relay(post.engine, post.url, mails(box.port), Bounds(messages=4, probes=1, each=2))
        post.relays.append((relay, asyncio.create_task(relay.run())))
        yield box


async def add(post: Post, language: str = "en", events: list[str] | None = None) -> UUID:
    async with transaction(post.engine) as session:
        wish = Wish(ADDRESS, language, events)
        added, _ = await addresses.add(session, post.principal, wish, str(uuid4()), now())
    return added.id


async def came(post: Post, box: Postbox, count: int) -> None:
    """Wait until so many mails were taken, and that is written."""

    async def there() -> bool:
        waiting = await post.rows("SELECT id FROM messages WHERE state = 'waiting'")
        return len(box.raw) == count and not waiting

    await post.until(there)


async def confirmed(post: Post, box: Postbox, **wish: object) -> UUID:
    """Add an address and confirm it by the code that was mailed."""
    address_id = await add(post, **wish)  # type: ignore[arg-type]  # by name
    await came(post, box, 1)
    assert await guess(post, address_id, code_in(box))
    return address_id


def code_in(box: Postbox) -> str:
    (code,) = re.findall(r"^    ([A-Z0-9]{8})\s*$", box.letters[-1].get_content(), re.MULTILINE)
    return str(code)


async def guess(post: Post, address_id: UUID, code: str) -> bool:
    async with transaction(post.engine) as session:
        return await addresses.try_code(session, post.principal, address_id, code)


async def test_an_address_gets_a_code_and_nothing_else_until_the_code_came_back(post: Post, box: Postbox) -> None:
    address_id = await add(post)
    await came(post, box, 1)
    await post.finish()
    assert [row["event"] for row in await post.messages()] == ["mail.confirm"]
    code = code_in(box)
    assert code not in str([dict(row) for row in await post.rows("SELECT * FROM endpoints")])

    assert await guess(post, address_id, f"{code[:4].lower()}-{code[4:]} ")

    assert code not in str([dict(row) for row in await post.rows("SELECT body FROM messages")])
    job = await post.finish()
    await came(post, box, 2)
    letter = box.letters[1]
    assert box.to == [ADDRESS, ADDRESS]
    assert (letter["From"], letter["To"], letter["Auto-Submitted"]) == (SENDER, ADDRESS, "auto-generated")
    assert letter["Subject"] == f"Your job {job} (drill) is done"
    assert letter.get_content_type() == "text/plain"
    assert f"/v1/jobs/{job}" in letter.get_content()
    message = (await post.messages())[-1]
    assert (message["channel"], message["state"]) == ("mail", "delivered")
    assert letter["Message-ID"] == f"<{message['id']}@example.com>"


async def test_a_code_is_good_for_five_tries_and_a_day(post: Post, box: Postbox) -> None:
    address_id = await add(post)
    await came(post, box, 1)
    code = code_in(box)
    assert [await guess(post, address_id, "AAAAAAAA") for _ in range(5)] == [False] * 5
    assert not await guess(post, address_id, code), "it was guessed at too often"
    await post.do("UPDATE endpoints SET guesses = 0, code_until = now()")
    assert not await guess(post, address_id, code), "it was over"
    await post.do("UPDATE endpoints SET code_until = now() + interval '1 h'")
    assert await guess(post, address_id, code)


async def test_nobody_is_flooded_by_way_of_codes(post: Post) -> None:
    async def come_and_go(principal: Principal) -> None:
        async with transaction(post.engine) as session:
            added, _ = await addresses.add(session, principal, Wish(ADDRESS, "en", None), str(uuid4()), now())
            await addresses.remove(session, principal, added.id)

    await come_and_go(post.principal)
    with pytest.raises(Problem, match="a moment ago") as soon:
        await come_and_go(post.principal)
    assert (soon.value.code, "Retry-After" in soon.value.headers) == ("rate_limited", True)
    async with transaction(post.engine) as session:
        other = await customers.add_customer(session, "others", "Others", 1e6, 1_000_000)
    stranger = Principal(uuid4(), Role.CUSTOMER, "other", other.id, "others")
    with pytest.raises(Problem, match="a moment ago"):
        await come_and_go(stranger)
    for _ in range(4):
        await post.do("UPDATE endpoints SET code_sent_at = now() - interval '2 min'")
        await come_and_go(stranger)
    await post.do("UPDATE endpoints SET code_sent_at = now() - interval '2 min'")
    with pytest.raises(Problem, match="in the last day"):
        await come_and_go(post.principal)


async def test_the_same_mail_comes_under_the_same_message_id_however_often(post: Post, box: Postbox) -> None:
    address_id = await confirmed(post, box)
    await post.finish()
    await came(post, box, 2)
    message = (await post.messages())[-1]
    async with transaction(post.engine) as session:
        await addresses.resend(session, post.principal, address_id, message["id"])
    await came(post, box, 3)
    assert box.raw[1] == box.raw[2]


async def test_what_is_not_taken_for_now_waits_and_what_is_refused_for_good_is_a_dead_letter(
    post: Post, box: Postbox
) -> None:
    address_id = await confirmed(post, box)
    box.data = "451 Try again later"
    await post.finish()
    await post.settled("delivered", "waiting")
    assert (await post.row(address_id))["failures"] == 0, "that is the server's fault"
    box.data, box.recipient = "250 OK", "550 No such user"
    await post.hurry()
    await post.settled("delivered", "dead")
    assert (await post.row(address_id))["failures"] == 1
    last = (await post.attempts())[-1]
    assert (last["outcome"], last["status"]) == ("recipient_refused", 550)
    assert "No such user" not in last["explanation"], "the server's own words may name its machines"
    assert len(box.raw) == 1


async def test_german_words_and_what_a_customer_wrote_make_no_header(post: Post, box: Postbox) -> None:
    await confirmed(post, box, language="de", events=["job.dead"])
    assert box.letters[0]["Subject"].startswith("Ihr Code: ")
    claim = await post.begin()
    reference = "PO-7\r\nBcc: victim@example.org\r\n\r\nHello \u2028 ü"
    await post.do("UPDATE jobs SET reference = :reference WHERE id = :id", reference=reference, id=claim.id)
    await post.finish()
    await post.book.settle(claim, Rejected(JobError("bad_input", "No.")))
    await came(post, box, 2)
    letter = box.letters[1]
    assert letter["Subject"] == (
        "Ihr Auftrag PO-7 Bcc: victim@example.org Hello ü (drill) konnte nicht ausgeführt werden"
    )
    assert (letter["Bcc"], letter["Content-Language"]) == (None, "de")
    assert box.to == [ADDRESS, ADDRESS]
    assert "Grund: No." in letter.get_content()


async def test_news_of_a_promise_says_what_was_promised_what_is_expected_and_why(post: Post, box: Postbox) -> None:
    await confirmed(post, box, language="de", events=["job.promise_at_risk"])
    claim = await post.begin()
    await post.do(
        "INSERT INTO promise_changes (job_id, seq, news, due, likely, latest, cause, message, wording, fields) "
        "VALUES (:id, 9, 'at_risk', '2026-11-30T12:00Z', '2026-11-30T12:30Z', '2026-11-30T13:00Z', 'paused', "
        "'The lane is paused.', 'plain', jsonb_build_object('until', '2026-11-30T11:00:00Z', 'reason', 'Leak'))",
        id=claim.id,
    )
    await came(post, box, 2)
    text = box.letters[1].get_content()
    assert "wird vielleicht später fertig als zugesagt" in box.letters[1]["Subject"]
    assert "Zugesagt für: 2026-11-30 12:00 UTC" in text
    assert "Jetzt erwartet: 2026-11-30 12:30 UTC, spätestens 2026-11-30 13:00 UTC" in text
    assert "Grund: Unser Betrieb hat diese Warteschlange bis zum 30.11.2026, 11:00:00 UTC angehalten" in text


async def test_a_server_that_is_away_is_left_alone_and_asked_with_one_mail_then() -> None:
    async with mailing() as box:
        port = box.port
    carrier = mails(port)
    for place in range(5):
        assert carrier.room(4, now()) == 4, place
        outcome = await carrier.send(ERRAND, now, 0.5)
        assert isinstance(outcome, Unanswered)
        assert (outcome.code, outcome.elsewhere, outcome.final) == ("connect", True, False)
        assert str(port) not in outcome.explanation
    assert carrier.room(4, now()) == 0
    later = now() + timedelta(minutes=1)
    assert carrier.room(4, later) == 1
    async with mailing(port) as box:
        assert await carrier.send(ERRAND, lambda: later, 0.5) == Answered(250)
        assert len(box.raw) == 1
    assert carrier.room(4, later) == 4


async def test_what_the_server_took_is_delivered_whatever_it_says_afterwards() -> None:
    async with mailing() as box:
        assert await mails(box.port).send(ERRAND, now, 0.5) == Answered(250)
    said: list[bytes] = []

    async def taken_and_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a mail and cut the connection where a good-bye would be due."""
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            said.append(line)
            if line == b"DATA\r\n":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 taken\r\n")
                break
            writer.write(b"250 well\r\n")
        writer.close()

    server = await asyncio.start_server(taken_and_gone, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await mails(port).send(ERRAND, now, 0.5) == Answered(250)
    server.close()


async def test_a_password_is_told_to_the_named_server_alone_and_only_in_private() -> None:
    authority = trustme.CA()
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(ours)
    authority.configure_trust(theirs)
    server = SmtpServer("127.0.0.1", 0, "starttls", "shop", "geheim")

    async def send(port: int, context: ssl.SSLContext | None) -> None:
        mailer = Mailer(replace(server, port=port), context=context, patience_s=5)
        await mailer.send(SENDER, ADDRESS, letter_of(ERRAND, SENDER, ADDRESS, retell))

    async with mailing(context=ours) as box:
        await send(box.port, theirs)
        assert box.logins == [(b"shop", b"geheim")]
        with pytest.raises(SmtpError):
            await send(box.port, None)  # a certificate of nobody known
    async with mailing() as plain:
        with pytest.raises(SmtpError):
            await send(plain.port, theirs)
        assert plain.raw == []
    assert len(box.logins) == 1
