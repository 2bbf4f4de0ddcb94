"""Alerts by mail, through a real server."""

from functools import partial

from invoicing.alerts.letters import letter_of
from invoicing.alerts.model import AlertState, ChannelKind
from invoicing.kit.smtp import Mailer, SmtpServer
from invoicing.outbox.carrying import Mails
from invoicing.outbox.model import Channel

from ..outbox.postbox import mailing
from .desk import Desk, alert, over, then

SENDER = "Invoices <invoices@example.com>"
PUBLIC = "https://invoicing.example.com"


async def test_mails_of_one_incident_come_in_order_and_make_a_thread(desk: Desk) -> None:
    async with mailing() as box:
        await desk.channel(ChannelKind.MAIL, "mailto:oncall@example.com")
        written = partial(letter_of, public_url=PUBLIC)
        mailer = Mailer(SmtpServer("127.0.0.1", box.port, "none"), patience_s=5)
        desk.start(Mails(mailer, SENDER, written, [Channel.ALERT_MAIL]))
        one = alert()
        acknowledged = then(one, state=AlertState.ACKNOWLEDGED)
        box.data = "451 Try again later"
        await desk.say(one, acknowledged, over(acknowledged))

        async def first_failed() -> bool:
            return bool((await desk.messages())[0]["tries"] == 1)

        await desk.until(first_failed)
        assert box.raw == []
        box.data = "250 OK"

        async def delivered() -> bool:
            await desk.hurry()
            return {row["state"] for row in await desk.messages()} == {"delivered"}

        await desk.until(delivered)
        letters = box.letters
        assert [letter["Subject"] for letter in letters] == [
            "[S2] No worker serves the lane normal-small",
            "[S2] acknowledged: No worker serves the lane normal-small",
            "[S2] resolved: No worker serves the lane normal-small",
        ]
        assert {str(letter["References"]) for letter in letters} == {f"<incident-{one.incident_id}@example.com>"}
        assert [letter["Message-ID"] for letter in letters] == [
            f"<{row['id']}@example.com>" for row in await desk.messages()
        ]
        assert ["Acknowledge: " in letter.get_content() for letter in letters] == [True, False, False]
        assert box.to == ["oncall@example.com"] * 3
