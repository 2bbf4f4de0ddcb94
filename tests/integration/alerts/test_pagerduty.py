"""PagerDuty, or what answers as it does: each request is held against its documentation before it is taken."""

import jsonschema_rs

from invoicing.alerts.model import AlertState, ChannelKind, Severity

from ...unit.alerts.documented import EVENTS_V2
from ..outbox.receiver import Got, receiving, status
from .desk import Desk, alert, over, then

ROUTING_KEY = "0123456789abcdef0123456789abcdef"


class PagerDuty:
    """Keeps incidents by their key, as Events API V2 does; busy where it is told to be."""

    def __init__(self) -> None:
        self.incidents: dict[str, str] = {}
        self.busy = 0
        self.refused: list[Got] = []
        self._documented = jsonschema_rs.validator_for(EVENTS_V2, validate_formats=True)

    def answer(self, got: Got) -> bytes:
        if self.busy:
            self.busy -= 1
            return status(429)
        if not self._documented.is_valid(got.json) or got.json["routing_key"] != ROUTING_KEY:
            self.refused.append(got)
            return status(400)
        states = {"trigger": "triggered", "acknowledge": "acknowledged", "resolve": "resolved"}
        key, action = got.json["dedup_key"], got.json["event_action"]
        if action == "trigger" or key in self.incidents:
            self.incidents[key] = states[action]
        return status(202)


async def test_an_incident_is_opened_taken_and_closed_there_though_it_is_busy(desk: Desk) -> None:
    there = PagerDuty()
    async with receiving(there.answer) as receiver:
        await desk.channel(ChannelKind.PAGERDUTY, receiver.url, Severity.S2, ROUTING_KEY)
        desk.start()
        minor, one = alert(severity=Severity.S3), alert()
        key = str(one.incident_id)
        await desk.say(minor, one)
        await desk.rests("delivered")
        assert there.incidents == {key: "triggered"}, "the minor one pages nobody"
        worse = then(one, severity=Severity.S1, jobs=900)
        taken = then(worse, state=AlertState.ACKNOWLEDGED)
        await desk.say(worse, taken)
        await desk.rests("delivered", "delivered", "delivered")
        assert there.incidents == {key: "acknowledged"}
        there.busy = 2
        await desk.say(over(taken), over(minor))

        async def closed() -> bool:
            await desk.hurry()
            return there.incidents == {key: "resolved"}

        await desk.until(closed)
        await desk.rests(*["delivered"] * 4)
        assert there.refused == []


async def test_a_wrong_key_is_a_dead_letter_and_not_asked_for_three_days(desk: Desk) -> None:
    there = PagerDuty()
    async with receiving(there.answer) as receiver:
        await desk.channel(ChannelKind.PAGERDUTY, receiver.url, secret="f" * 32)
        desk.start()
        await desk.say(alert())
        await desk.rests("dead")
        assert len(there.refused) == 1
