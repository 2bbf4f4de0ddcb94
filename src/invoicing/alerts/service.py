"""Saying what becomes of an incident to every channel that wants to know; channels added, removed and tried out."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from pydantic_core import to_json

from invoicing.alerts import store
from invoicing.alerts.model import (
    CHANNEL_OF,
    EVENTS,
    KIND_OF,
    MERGING,
    MOST_CHANNELS,
    NAME_OF_ENVIRONMENT,
    TEST,
    Alert,
    AlertChannel,
    AlertState,
    ChannelKind,
    Severity,
    body_of,
    data_of,
    repeats_of,
    said_in,
    trial,
    wanted,
)
from invoicing.kit.clock import now
from invoicing.kit.db import Session
from invoicing.kit.ids import new_id
from invoicing.kit.problems import Problem
from invoicing.outbox import announcing
from invoicing.outbox.mailing import MAILTO
from invoicing.outbox.model import Delivery, new_secret
from invoicing.outbox.ops import Announcement, NewOpsEndpoint

_KEPT = timedelta(days=90)
"""How long it is known what was said last of an incident that is over."""

_FORGOTTEN_AT_ONCE = 100


@dataclass(frozen=True)
class Wish:
    """A channel as somebody of ops asks for it, checked."""

    name: str
    kind: ChannelKind
    target: str
    """What of its address may be shown, and where it leads for kinds that have no secret in it."""
    least: Severity
    secret: str = field(repr=False)
    """What it is reached or signed with."""
    answer_secret: str | None = field(default=None, repr=False)
    fresh_secret: bool = False
    """Whether the secret was made here, and is another at each request."""

    @property
    def fingerprint(self) -> bytes:
        """Tell this wish from another under the same idempotency key."""
        secret = None if self.fresh_secret else self.secret
        return hashlib.sha256(
            to_json([self.name, self.kind, self.target, self.least, secret, self.answer_secret])
        ).digest()


async def announce(session: Session, alert: Alert, *, merging: bool = False) -> None:
    """Have every channel told that wants to know: written in the caller's transaction, sent after its commit.

    A channel gets what is bad enough for it, and then all that becomes of it; so does whoever was called. A revision
    that is not newer than the last one that was announced changes nothing. `merging`: only channels are told that add
    it to what they know.
    """
    await store.hold_for_telling(session)
    body = body_of(EVENTS[alert.state], now(), data_of(alert))
    earlier = await store.say(session, alert.incident_id, alert.revision, alert.state, alert.severity, body)
    if earlier is None:
        return
    if not earlier and alert.revision == 1:
        await store.forget(session, _KEPT, _FORGOTTEN_AT_ONCE)
    told = await announcing.told(session, alert.incident_id)
    channels = await all_channels(session)
    people: set[UUID] = set() if merging else told - {one.id for one in channels}
    wanting = [one for one in channels if one.id in told or wanted(alert.severity, one.least)]
    await _tell(session, alert, earlier, [one for one in wanting if not merging or one.kind in MERGING], people)


async def _tell(
    session: Session,
    alert: Alert,
    earlier: Sequence[Severity],
    channels: Sequence[AlertChannel],
    people: Collection[UUID] = (),
) -> None:
    event = EVENTS[alert.state]
    said = Announcement(event, alert.incident_id, alert.revision, body_of(event, now(), data_of(alert, earlier)))
    receivers = {one.id: repeats_of(one.kind, alert) for one in channels}
    await announcing.write(session, said, receivers | dict.fromkeys(people))


async def call(session: Session, alert: Alert, mail: str) -> None:
    """Have somebody told of an incident by mail, and of all that becomes of it; they need no channel."""
    await store.hold_for_telling(session)
    await _tell(session, alert, (), (), [await _mailbox(session, mail)])


async def _mailbox(session: Session, mail: str) -> UUID:
    """Find the endpoint of somebody's address, or add it; it is no channel, and is told only what it is written."""
    key = f"on duty: {mail}"  # no key of a request has a space
    endpoint = NewOpsEndpoint(
        id=new_id(),
        channel=CHANNEL_OF[ChannelKind.MAIL],
        url=MAILTO + mail,
        secret=new_secret(),
        idempotency_key=key,
        body_hash=hashlib.sha256(key.encode()).digest(),
    )
    await announcing.add_endpoint(session, endpoint)
    made = await announcing.made_under(session, key)
    if made is None:
        raise RuntimeError("an endpoint that is there is not found")
    return made[0]


async def announced(session: Session) -> Collection[UUID]:
    """Name the incidents that are not over and that somebody was told of."""
    return await store.standing_ids(session)


async def all_channels(session: Session) -> list[AlertChannel]:
    """List the channels, the oldest first."""
    endpoints = await announcing.endpoints(session)
    return [
        AlertChannel(
            id=row.id,
            name=row.name,
            kind=KIND_OF[endpoints[row.id].channel],
            target=endpoints[row.id].url,
            least=row.least,
            answers=row.answers,
            from_environment=row.from_environment,
            created_at=endpoints[row.id].created_at,
            failures=endpoints[row.id].failures,
            open_until=endpoints[row.id].open_until,
        )
        for row in await store.channels(session)
    ]


async def get(session: Session, channel_id: UUID) -> AlertChannel:
    """Find a channel; raises `Problem` when there is none such."""
    found = [one for one in await all_channels(session) if one.id == channel_id]
    if not found:
        raise no_such_channel()
    return found[0]


async def add(session: Session, wish: Wish, idempotency_key: str) -> tuple[AlertChannel, bool]:
    """Add a channel, which is told at once of what stands; tells whether an earlier request did it.

    Raises `Problem`: a name that is taken, too many channels.
    """
    await store.hold_channels(session)
    earlier = await announcing.made_under(session, idempotency_key)
    if earlier is not None:
        return await _made_before(session, wish, *earlier), True
    existing = await all_channels(session)
    if any(one.name == wish.name for one in existing):
        remedy = "GET /v1/channels lists it; remove it first, or take another name."
        raise Problem("conflict", "There is a channel of this name already.", field="/name", remedy=remedy)
    if len(existing) >= MOST_CHANNELS:
        words = f"There are {MOST_CHANNELS} channels, as many as may be."
        raise Problem("conflict", words, remedy="Remove one that is not used.")
    return await _insert(session, wish, idempotency_key, from_environment=False), False


async def _insert(session: Session, wish: Wish, idempotency_key: str, *, from_environment: bool) -> AlertChannel:
    channel_id = new_id()
    new = NewOpsEndpoint(
        id=channel_id,
        channel=CHANNEL_OF[wish.kind],
        url=wish.target,
        secret=wish.secret,
        idempotency_key=idempotency_key,
        body_hash=wish.fingerprint,
    )
    if not await announcing.add_endpoint(session, new):
        raise RuntimeError("a channel was added although all of them were held")
    await store.insert_channel(
        session, channel_id, wish.name, wish.least, wish.answer_secret, from_environment=from_environment
    )
    added = await get(session, channel_id)
    for body in await store.standing(session):
        said = said_in(body)
        if wanted(said.alert.severity, added.least):
            await _tell(session, said.alert, said.earlier, [added])
    return added


async def _made_before(session: Session, wish: Wish, channel_id: UUID, fingerprint: bytes) -> AlertChannel:
    if fingerprint != wish.fingerprint:
        raise Problem(
            "idempotency_key_reused",
            "This Idempotency-Key was used for another request.",
            field="/headers/Idempotency-Key",
            remedy="Use a new key for a new request, or send the first request unchanged.",
        )
    found = [one for one in await all_channels(session) if one.id == channel_id]
    if not found:
        words = "The channel of this Idempotency-Key has been removed."
        raise Problem("gone", words, remedy="Use a new key to add it anew.")
    return found[0]


async def remove(session: Session, channel_id: UUID) -> AlertChannel:
    """Remove a channel: it is told nothing more, not even what waits; what stands there ends there by itself, or not.

    Raises `Problem` for the one that the environment adds: it would come back.
    """
    await store.hold_channels(session)
    found = await get(session, channel_id)
    if found.from_environment:
        words = "This channel comes from INVOICING_ALERTMANAGER_URL."
        raise Problem("conflict", words, remedy="Take the variable away, and start the watchdogs again.")
    await _remove(session, channel_id)
    return found


async def _remove(session: Session, channel_id: UUID) -> None:
    await store.remove_channel(session, channel_id)
    await announcing.remove_endpoint(session, channel_id)


async def trust(session: Session, channel_id: UUID, secret: str) -> AlertChannel:
    """Let acknowledgements come back from PagerDuty that are signed with a secret; the one before is void.

    Raises `Problem` for a channel that nothing comes back from by itself.
    """
    channel = await get(session, channel_id)
    if channel.kind is not ChannelKind.PAGERDUTY:
        words = f"Nothing comes back from a channel of the kind {channel.kind} but by the links in its messages."
        raise Problem("conflict", words, remedy="Give the secret to a channel of PagerDuty.")
    await store.set_answer_secret(session, channel_id, secret)
    return await get(session, channel_id)


async def keep_environments(session: Session, url: str | None) -> None:
    """Have the one channel that the environment adds be there, with this address; or not be there, without one."""
    await store.hold_channels(session)
    existing = await all_channels(session)
    ours = next((one for one in existing if one.from_environment), None)
    if ours is not None and ours.target == url:
        return
    if ours is not None:
        await _remove(session, ours.id)
    if url is not None:
        taken = {one.name for one in existing if not one.from_environment}
        name = NAME_OF_ENVIRONMENT if NAME_OF_ENVIRONMENT not in taken else f"{NAME_OF_ENVIRONMENT} of the environment"
        wish = Wish(name, ChannelKind.ALERTMANAGER, url, Severity.S4, "")
        await _insert(session, wish, f"environment:{new_id()}", from_environment=True)


async def test(session: Session, channel_id: UUID) -> Sequence[UUID]:
    """Have a channel sent a message that says nothing but that it was asked for; gives the messages.

    Where an alert would stand until somebody ends it, the end is sent behind it.
    """
    channel = await get(session, channel_id)
    incident_id, moment = new_id(), now()
    states = [AlertState.OPEN, AlertState.RESOLVED] if channel.kind is ChannelKind.PAGERDUTY else [AlertState.OPEN]
    written: list[UUID] = []
    for state in states:
        alert = trial(incident_id, moment, channel.name, state)
        said = Announcement(TEST, incident_id, alert.revision, body_of(TEST, moment, data_of(alert)))
        written += await announcing.write(session, said, {channel.id: None})
    return written


async def deliveries(
    session: Session, channel_id: UUID, *, before: UUID | None, limit: int, state: str | None
) -> tuple[AlertChannel, list[Delivery]]:
    """List the messages to a channel, the newest first."""
    channel = await get(session, channel_id)
    found = await announcing.deliveries(session, channel.id, before=before, limit=limit, state=state)
    return channel, found


async def delivery(session: Session, channel_id: UUID, message_id: UUID) -> tuple[AlertChannel, Delivery]:
    """Find a message to a channel; raises `Problem` when there is none such."""
    channel = await get(session, channel_id)
    found = await announcing.delivery(session, channel.id, message_id)
    if found is None:
        raise no_such_delivery()
    return channel, found


async def resend(session: Session, channel_id: UUID, message_id: UUID) -> tuple[AlertChannel, Delivery]:
    """Have a message sent once more; one that is being sent right now is left to that.

    Raises `Problem` for one after which the channel was told more: to repeat it would be untrue.
    """
    await delivery(session, channel_id, message_id)
    if await announcing.overtaken(session, message_id):
        words = "The channel was told something later of this incident, which is what holds."
        raise Problem("conflict", words, remedy="Resend the last message of the incident.")
    await announcing.resend(session, channel_id, message_id)
    return await delivery(session, channel_id, message_id)


async def last_announced(session: Session, incident_id: UUID) -> Alert | None:
    """Give what was announced last of an incident; None when nothing was."""
    body = await store.last_said(session, incident_id)
    return None if body is None else said_in(body).alert


async def receiver(session: Session, endpoint_id: UUID) -> str:
    """Name who gets what is sent to a channel, or to somebody on duty; the address of a webhook may hold a secret.

    Raises `Problem` when there is none such.
    """
    endpoint = (await announcing.endpoints(session)).get(endpoint_id)
    if endpoint is not None and endpoint.url.startswith(MAILTO):
        return endpoint.url.removeprefix(MAILTO)
    return (await get(session, endpoint_id)).name


async def link_secret(session: Session, channel_id: UUID) -> str | None:
    """Give what the links to a channel are signed with; None where there is no such channel."""
    return await announcing.secret_of(session, channel_id)


async def answer_secret(session: Session, channel_id: UUID) -> str | None:
    """Give what PagerDuty signs with what happens there; None where nothing is to come back."""
    return await store.answer_secret(session, channel_id)


def no_such_channel() -> Problem:
    """Say that there is no such channel."""
    return Problem("not_found", "There is no such channel.", remedy="GET /v1/channels lists them.")


def no_such_delivery() -> Problem:
    """Say that there is no such message to this channel."""
    return Problem("not_found", "There is no such delivery.", remedy="GET /v1/channels/{id}/deliveries lists them.")
