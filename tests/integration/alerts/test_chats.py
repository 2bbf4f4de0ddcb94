"""Chats, by way of the real Apprise and a receiver that stands where Mattermost would."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import text

from invoicing.alerts.carrying import Alerts
from invoicing.alerts.chatting import PATIENCE_S, Chats
from invoicing.alerts.model import ChannelKind, Severity
from invoicing.alerts.wishes import Means, wish_of
from invoicing.kit.egress import Egress
from invoicing.kit.problems import Problem
from workers.main import _ALERTS

from ..outbox.receiver import receiving, status
from .desk import HERE, Desk, alert, over


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise imports it
async def test_a_chat_is_told_in_words_and_again_when_it_did_not_take_it(desk: Desk) -> None:
    async with receiving(status(500)) as receiver:
        url = f"mmost://127.0.0.1:{receiver.port}/tokentokentokentoken"
        await desk.channel(ChannelKind.CHAT, "mmost://127.0.0.1", secret=url)
        egress = Egress(allowed=HERE, patience_s=5)
        desk.start(Alerts(egress, "https://invoicing.example.com", chatter=Chats(egress)))
        one = alert()
        await desk.say(one, over(one))
        await receiver.wait_for(1)
        receiver.answer = status(200)

        async def told() -> bool:
            await desk.hurry()
            return {row["state"] for row in await desk.messages()} == {"delivered"}

        await desk.until(told)
        first, *_, last = (json.loads(got.body)["text"] for got in receiver.got)
        assert first.startswith("[S2] No worker serves the lane normal-small")
        assert "https://invoicing.example.com/v1/alerts/" in first
        assert last.startswith("[S2] resolved: ")
        assert receiver.got[0].path == "/hooks/tokentokentokentoken"


async def test_a_chat_on_a_private_address_is_not_asked(desk: Desk) -> None:
    async with receiving() as receiver:
        url = f"mmosts://localhost:{receiver.port}/tokentokentokentoken"
        await desk.channel(ChannelKind.CHAT, "mmosts://localhost", secret=url)
        egress = Egress(patience_s=5)
        desk.start(Alerts(egress, chatter=Chats(egress)))
        await desk.say(alert())
        await desk.rests("waiting")
        assert receiver.connections == 0


async def found_too_late(_host: str, _port: int) -> Sequence[str]:
    await asyncio.Event().wait()
    return []


async def test_all_of_a_try_is_over_before_its_lease_however_long_a_name_takes_to_be_found(desk: Desk) -> None:
    await desk.channel(ChannelKind.CHAT, "mmosts://chat.example.com", secret="mmosts://chat.example.com/token")
    desk.start(Alerts(Egress(), chatter=Chats(Egress(resolver=found_too_late, patience_s=3600), patience_s=0.1)))
    await desk.say(alert())
    await desk.rests("waiting")
    async with desk.engine.connect() as session:
        said = await session.scalar(text("SELECT explanation FROM delivery_attempts"))
    assert said == "The chat had not taken it after 0.1 seconds."
    assert timedelta(seconds=PATIENCE_S) < _ALERTS.lease


@pytest.mark.parametrize(
    "url",
    [
        "json://example.com/x", "file:///etc/passwd", "syslog://", "dbus://", "mmosts://10.0.0.1/token", "mmost://x/token",
        "mmosts://chat.example.com/token?verify=no", "slack://", "mmosts:///token", "ntfys://127.0.0.1/topic",
    ],
)  # fmt: skip
def test_a_url_that_leads_into_the_machine_or_its_network_is_refused(url: str) -> None:
    with pytest.raises(Problem) as refused:
        wish_of("x", ChannelKind.CHAT, Severity.S4, {"url": url}, Means(chats=True))
    assert refused.value.field == "/url"


def test_the_token_of_a_chat_is_not_shown() -> None:
    for url, seen in (("slack://A/B/C", "slack://"), ("mmosts://chat.example.com/token", "mmosts://chat.example.com")):
        wish = wish_of("x", ChannelKind.CHAT, Severity.S4, {"url": url}, Means(chats=True))
        assert (wish.target, wish.secret) == (seen, url)
        assert url not in repr(wish)
