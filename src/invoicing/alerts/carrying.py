"""The ways that alerts take to those who run the service: each tries once, and whatever happens is an outcome."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from invoicing.alerts import alertmanager, pagerduty
from invoicing.alerts.links import link, webhook_body
from invoicing.alerts.model import said_in
from invoicing.kit.egress import Egress, EgressError, Reply
from invoicing.outbox.model import Answered, Channel, Errand, Outcome, Unanswered, headers_of, retry_after_of

_JSON = {"Content-Type": "application/json", "User-Agent": "invoicing-alerts/1"}
_BAD_REQUEST = 400
_GONE = 410


class Chatter(Protocol):
    """What sends to chats."""

    async def send(self, errand: Errand, public_url: str | None) -> Outcome:
        """Try once."""


@dataclass(frozen=True)
class Alerts:
    """Requests to Alertmanager, PagerDuty, signed webhooks and chats."""

    egress: Egress
    public_url: str | None = None
    trusted: Mapping[str, Egress] = field(default_factory=dict)
    """Addresses from the operator's environment, and what may reach them wherever they are."""
    chatter: Chatter | None = None

    @property
    def channels(self) -> Collection[Channel]:
        """Take all but mails; chats where there is something to send them with."""
        chats = () if self.chatter is None else (Channel.CHAT,)
        return (Channel.ALERTMANAGER, Channel.PAGERDUTY, Channel.ALERT_WEBHOOK, *chats)

    def room(self, free: int, now: datetime) -> int:
        """Take whatever there is: each channel has a breaker of its own."""
        del now
        return free

    async def send(self, errand: Errand, now: Callable[[], datetime], chance: float) -> Outcome:
        """Write the request of a message as of now, and send it."""
        del chance
        if errand.channel is Channel.CHAT and self.chatter is not None:
            return await self.chatter.send(errand, self.public_url)
        try:
            reply = await self._ask(errand, now())
        except EgressError as error:
            return Unanswered(error.code, str(error))
        return _judged(errand.channel, reply, now())

    async def _ask(self, errand: Errand, at: datetime) -> Reply:
        said = said_in(errand.body)
        match errand.channel:
            case Channel.ALERTMANAGER:
                url = errand.url.rstrip("/") + alertmanager.PATH
                egress = self.trusted.get(errand.url, self.egress)
                return await egress.post(url, _JSON, _json(alertmanager.posted(said, at, self.public_url)))
            case Channel.PAGERDUTY:
                event = pagerduty.event_of(said, errand.secrets[0], self.public_url)
                return await self.egress.post(errand.url, _JSON, _json(event))
            case _:
                acknowledge = self.public_url and link(self.public_url, said, errand.endpoint_id, errand.secrets[0])
                signed = replace(errand, body=webhook_body(errand.body, said, acknowledge or None).decode())
                return await self.egress.post(errand.url, headers_of(signed, at), signed.body.encode())


def _json(body: Any) -> bytes:  # noqa: ANN401 - whatever the receiver's document says
    return json.dumps(body, ensure_ascii=False).encode()


def _judged(channel: Channel, reply: Reply, at: datetime) -> Outcome:
    """Read an answer: what is refused as wrong in itself will not be right the next time.

    A channel of ops is never given up because it answered 410: nobody would be told of anything any more.
    """
    if reply.status == _BAD_REQUEST and channel is not Channel.ALERT_WEBHOOK:
        words = "It refused the message as wrong (400)."
        return Unanswered("refused", words, reply.status, final=True)
    if reply.status == _GONE:
        return Unanswered("refused", "It answered 410; the channel is tried again until it is removed.", reply.status)
    return Answered(reply.status, retry_after_of(reply.headers.get("retry-after"), at))
