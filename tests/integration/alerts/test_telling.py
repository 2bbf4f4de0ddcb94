"""Incidents are told to every channel that wants to know: in order, again until it is heard, and to nobody else."""

import asyncio
import sys
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from invoicing.alerts import service as alerts
from invoicing.alerts.model import AlertState, ChannelKind, Severity
from invoicing.kit.db import transaction
from invoicing.kit.problems import Problem
from invoicing.outbox.model import new_secret

from ..book import Book
from ..outbox.receiver import OK, Got, receiving, status
from .desk import Desk, alert, moment, over, then

POSTMAN = Path(__file__).with_name("postman.py")


async def test_an_alertmanager_is_told_again_until_the_incident_is_over(desk: Desk) -> None:
    async with receiving() as receiver:
        await desk.channel(ChannelKind.ALERTMANAGER, f"http://127.0.0.1:{receiver.port}/prefix")
        desk.start()
        first = alert()
        await desk.say(first)
        (got,) = await receiver.wait_for(1)
        assert got.path == "/prefix/api/v2/alerts"
        (posted,) = got.json
        assert posted["labels"] == {
            "alertname": "InvoicingIncident",
            "service": "invoicing",
            "severity": "S2",
            "cause": "no_worker",
            "scope": "normal-small",
            "incident": str(first.incident_id),
            "lane": "normal-small",
        }
        assert moment(posted["startsAt"]) == first.since
        await desk.rests("waiting")
        for count in (2, 3):
            await desk.hurry()
            (again,) = (await receiver.wait_for(count))[-1].json
            assert again["annotations"] == posted["annotations"], "they are lost there unless they come each time"
            assert moment(again["endsAt"]) > moment(posted["endsAt"])
            await desk.rests("waiting")
        await desk.say(then(first, jobs=50))
        await desk.rests("delivered", "waiting")
        await desk.say(over(then(first)))
        await desk.rests("delivered", "delivered", "delivered")
        changed, ended = (got.json[0] for got in (await receiver.wait_for(5))[3:])
        assert (changed["annotations"]["jobs"], changed["labels"]) == ("50", posted["labels"])
        assert ended["labels"] == posted["labels"], "it is the same alert that ends"
        assert moment(ended["endsAt"]) < moment(again["endsAt"])
        await desk.hurry()
        await desk.rests("delivered", "delivered", "delivered")
        assert len(receiver.got) == 5


async def test_what_is_on_its_way_when_the_incident_ends_comes_before_the_end_and_never_after(desk: Desk) -> None:
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slow(_: Got) -> bytes:
        arrived.set()
        await go.wait()
        return OK

    async with receiving(slow) as receiver:
        await desk.channel(ChannelKind.ALERTMANAGER, f"http://127.0.0.1:{receiver.port}")
        desk.start()
        desk.start()
        first = alert()
        await desk.say(first)
        await arrived.wait()
        await desk.say(over(first))
        go.set()
        await desk.rests("delivered", "delivered")
        await desk.hurry()
        states = [got.json[0]["annotations"]["state"] for got in receiver.got]
        assert states == ["open", "resolved"]


async def test_a_channel_that_is_away_has_everything_in_order_when_it_is_back(desk: Desk) -> None:
    async with receiving(status(503)) as receiver:
        secret = new_secret()
        await desk.channel(ChannelKind.WEBHOOK, receiver.url, secret=secret)
        desk.start()
        first, other = alert(), alert(cause="paused")
        await desk.say(first, then(first, state=AlertState.ACKNOWLEDGED), other)
        await receiver.wait_for(2)
        told = [got.json["data"] for got in receiver.got]
        assert {one["incident_id"] for one in told} == {str(first.incident_id), str(other.incident_id)}
        await desk.say(over(then(first)))
        receiver.answer = OK
        for _ in range(4):
            await desk.hurry()
            await asyncio.sleep(0.05)

        async def heard() -> bool:
            await desk.hurry()
            return all(row["state"] == "delivered" for row in await desk.messages())

        await desk.until(heard)
        of_first = [got.json for got in receiver.got if got.json["data"]["incident_id"] == str(first.incident_id)]
        kinds = [one["type"] for one in of_first]
        assert sorted(set(kinds), key=kinds.index) == ["alert.open", "alert.acknowledged", "alert.resolved"]
        assert kinds == sorted(kinds, key=["alert.open", "alert.acknowledged", "alert.resolved"].index)
        last = receiver.got[-1]
        Webhook(secret).verify(last.body, last.headers)


async def test_a_receiver_that_fails_for_long_is_asked_again_within_a_minute(desk: Desk) -> None:
    async with receiving(status(503, "Retry-After: 86400")) as receiver:
        await desk.channel(ChannelKind.WEBHOOK, receiver.url)
        desk.start()
        await desk.say(alert())
        for count in range(1, 9):
            await receiver.wait_for(count)
            await desk.rests("waiting")
            (message,) = await desk.messages()
            async with desk.engine.connect() as session:
                (channel,) = await alerts.all_channels(session)
            held = max(message["due_at"], channel.open_until or message["due_at"])
            assert (held - message["created_at"]).total_seconds() < 65, count
            await desk.hurry()


async def test_what_was_said_twice_or_too_late_is_not_told(desk: Desk) -> None:
    async with receiving() as receiver:
        await desk.channel(ChannelKind.WEBHOOK, receiver.url)
        first = alert()
        second = then(first, jobs=7)
        await desk.say(first, first, second, first)
        assert [row["seq"] for row in await desk.messages()] == [1, 2]
        async with desk.engine.begin() as session:
            await alerts.announce(session, then(second))
            await session.rollback()
        assert len(await desk.messages()) == 2, "an incident that was not written is not told of"


async def test_a_channel_is_told_of_what_is_bad_enough_and_of_what_becomes_of_it(desk: Desk) -> None:
    calm = await desk.channel(ChannelKind.WEBHOOK, "http://127.0.0.1:9/calm", least=Severity.S2)
    minor = alert(severity=Severity.S3)
    await desk.say(minor)
    assert await desk.messages() == []
    worse = then(minor, severity=Severity.S1)
    better = then(worse, severity=Severity.S4)
    await desk.say(worse, better, over(better))
    assert [(row["endpoint_id"], row["seq"]) for row in await desk.messages()] == [(calm.id, n) for n in (2, 3, 4)]


async def test_an_alert_whose_severity_changes_ends_there_as_what_it_was(desk: Desk) -> None:
    async with receiving() as receiver:
        await desk.channel(ChannelKind.ALERTMANAGER, f"http://127.0.0.1:{receiver.port}")
        desk.start()
        first = alert(severity=Severity.S3)
        await desk.say(first, then(first, severity=Severity.S1))
        now_, before = (await receiver.wait_for(2))[-1].json
        assert (now_["labels"]["severity"], before["labels"]["severity"]) == ("S1", "S3")
        assert moment(before["endsAt"]) < moment(now_["endsAt"])


async def test_a_channel_added_during_an_outage_is_told_of_it(desk: Desk) -> None:
    ended, stands, small = alert(), alert(), alert(severity=Severity.S4)
    await desk.say(ended, over(ended), stands, small)
    assert await desk.messages() == []
    await desk.channel(ChannelKind.WEBHOOK, "http://127.0.0.1:9/late", least=Severity.S2)
    assert [row["incident_id"] for row in await desk.messages()] == [stands.incident_id]


async def test_customers_never_meet_a_channel_of_ops(desk: Desk) -> None:
    channel = await desk.channel(ChannelKind.WEBHOOK, "http://127.0.0.1:9/ops")
    book = await Book.open(desk.engine)
    await book.submit(seconds=0)
    await desk.say(alert())
    async with desk.engine.connect() as session:
        from_customers = (
            await session.exec_driver_sql("SELECT count(*) FROM messages WHERE job_id IS NOT NULL")
        ).scalar()
        owners = (await session.exec_driver_sql("SELECT customer_id FROM endpoints")).scalars().all()
    assert (from_customers, owners) == (0, [None])
    assert channel.target == "http://127.0.0.1:9/ops"


async def test_a_relay_that_is_killed_loses_no_alert(desk: Desk) -> None:
    came = asyncio.Event()

    async def never(_: Got) -> bytes:
        came.set()
        await asyncio.sleep(60)
        return OK

    async with receiving(never) as receiver:
        await desk.channel(ChannelKind.PAGERDUTY, receiver.url, secret="0" * 32)
        await desk.say(alert())
        postman = await asyncio.create_subprocess_exec(sys.executable, str(POSTMAN), desk.url)
        await came.wait()
        postman.kill()
        await postman.wait()
        receiver.answer = status(202)
        desk.start()
        await receiver.wait_for(2)
        await desk.rests("delivered")
        first, second = (got.json for got in receiver.got)
        assert first == second


async def test_an_alert_that_was_overtaken_is_not_sent_by_hand(desk: Desk) -> None:
    async with receiving() as receiver:
        channel = await desk.channel(ChannelKind.PAGERDUTY, receiver.url, secret="0" * 32)
        desk.start()
        first = alert()
        await desk.say(first, over(first))
        await desk.rests("delivered", "delivered")
        opened, ended = [row["id"] for row in await desk.messages()]
        async with transaction(desk.engine) as session:
            with pytest.raises(Problem, match="later of this incident"):
                await alerts.resend(session, channel.id, opened)
            await alerts.resend(session, channel.id, ended)
        assert (await receiver.wait_for(3))[-1].json["event_action"] == "resolve"


async def test_the_channel_of_the_environment_comes_and_goes_with_it(desk: Desk) -> None:
    async def kept(url: str | None) -> list[tuple[str, str]]:
        async with transaction(desk.engine) as session:
            await alerts.keep_environments(session, url)
            return [(one.name, one.target) for one in await alerts.all_channels(session)]

    assert await kept("http://am:9093") == [("alertmanager", "http://am:9093")]
    assert await kept("http://am:9093") == [("alertmanager", "http://am:9093")]
    async with transaction(desk.engine) as session:
        (channel,) = await alerts.all_channels(session)
        with pytest.raises(Problem, match="INVOICING_ALERTMANAGER_URL"):
            await alerts.remove(session, channel.id)
    assert await kept("http://other:9093") == [("alertmanager", "http://other:9093")]
    assert await kept(None) == []
