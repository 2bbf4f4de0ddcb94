"""A message, the endpoint it goes to, and what an answer means: delivered, again later, never again.

Signatures are those of Standard Webhooks, version 1 (HMAC-SHA256 over id, timestamp and body).
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Channel(StrEnum):
    """The way that a message takes."""

    WEBHOOK = "webhook"
    MAIL = "mail"
    ALERTMANAGER = "alertmanager"
    PAGERDUTY = "pagerduty"
    ALERT_WEBHOOK = "alert_webhook"
    ALERT_MAIL = "alert_mail"
    CHAT = "chat"


OF_OPS = frozenset(set(Channel) - {Channel.WEBHOOK, Channel.MAIL})
"""Channels to those who run the service: their endpoints belong to no customer."""


class MessageState(StrEnum):
    """Where a message stands; `dead` ones are kept, and can be resent."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


class WebhookEvent(StrEnum):
    """What a customer's endpoint can be told of."""

    SUCCEEDED = "job.succeeded"
    DEAD = "job.dead"
    CANCELLED = "job.cancelled"
    PROMISE_AT_RISK = "job.promise_at_risk"
    PROMISE_MISSED = "job.promise_missed"
    PROMISE_MOVED = "job.promise_moved"
    UPDATE = "job.update"
    """That there is no news, and why; only to endpoints that name it."""
    MAINTENANCE_ANNOUNCED = "maintenance.announced"
    MAINTENANCE_CANCELLED = "maintenance.cancelled"
    INCIDENT_OPENED = "incident.opened"
    INCIDENT_UPDATED = "incident.updated"
    INCIDENT_RESOLVED = "incident.resolved"


TEST = "webhook.test"
"""The event of a message that was asked for to try an endpoint out; it goes to every endpoint."""

MOST_ENDPOINTS = 20
"""Endpoints of one customer: each of its jobs is told to all of them."""

WINDOW = timedelta(days=3)
"""How long a message is tried; the table's default for `gives_up_at` is the same."""

OLD_SECRET_KEPT = timedelta(hours=24)
"""How long both secrets sign after a rotation."""

_PREFIX = "whsec_"
_SECRET_BYTES = 32

_DELAYS = (
    *(timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(minutes=30)),
    *(timedelta(hours=1), timedelta(hours=3), timedelta(hours=6), timedelta(hours=12)),
)
"""After the first try, the second, and so on; the last one repeats until the window ends."""

_JITTER = 0.2
"""A delay is up to so much shorter or longer, so that what failed together does not come again together."""

_LONGEST_RETRY_AFTER = timedelta(days=1)

_BREAKS_AFTER = 5
"""Failures in a row after which an endpoint gets nothing but a probe now and then."""

_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(minutes=15)

_LONGEST_SILENCE = timedelta(minutes=1)
"""Of ours towards a channel of ops, whatever happened there: an alert is wanted as soon as it can be had."""

_GONE = 410


@dataclass(frozen=True)
class Endpoint:
    """A customer's address for messages, without its secrets."""

    id: UUID
    customer_id: UUID
    url: str
    description: str | None
    events: Sequence[str] | None
    """What it wants to be told of; None: everything."""
    created_at: datetime
    failures: int
    """Failures in a row, over all messages."""
    open_until: datetime | None
    """Until when it gets nothing (its breaker is open); afterwards one message is sent as a probe."""
    disabled_at: datetime | None
    disabled_why: str | None
    old_secret_until: datetime | None


@dataclass(frozen=True)
class NewEndpoint:
    """An endpoint to be added."""

    id: UUID
    customer_id: UUID
    url: str
    description: str | None
    events: Sequence[str] | None
    secret: str = field(repr=False)
    idempotency_key: str
    body_hash: bytes


@dataclass(frozen=True)
class Attempt:
    """One try at delivering a message, as it is shown."""

    number: int
    started_at: datetime
    took_s: float | None
    outcome: str | None
    status: int | None
    explanation: str | None


@dataclass(frozen=True)
class Delivery:
    """A message to an endpoint, as it is shown."""

    id: UUID
    event: str
    job_id: UUID | None
    incident_id: UUID | None
    seq: int | None
    """Of the job's timeline, or the incident's revisions."""
    state: MessageState
    created_at: datetime
    due_at: datetime
    gives_up_at: datetime
    lease_until: datetime | None
    attempts: int
    finished_at: datetime | None
    tries: Sequence[Attempt] = ()


@dataclass(frozen=True)
class Signal:
    """How a channel stands, for monitoring."""

    channel: Channel
    waiting: int
    dead: int
    overdue_s: float
    """How long the oldest message is overdue that could be sent: 0 where the relays keep up."""
    held: int
    """Endpoints that failed and are left alone for a while."""


@dataclass(frozen=True)
class Errand:
    """A message that was claimed to be sent now."""

    id: UUID
    attempt: int
    tries: int
    endpoint_id: UUID
    event: str
    url: str = field(repr=False)
    body: str = field(repr=False)
    secrets: Sequence[str] = field(repr=False)
    left: timedelta
    """How much of its window is left."""
    probing: bool
    language: str | None = None
    channel: Channel = Channel.WEBHOOK
    repeats: timedelta | None = None
    """After it was delivered it is sent again and again, so long apart, until a later one takes its place."""


@dataclass(frozen=True)
class Answered:
    """The endpoint answered, with whatever status."""

    status: int
    retry_after: timedelta | None = None


@dataclass(frozen=True)
class Unanswered:
    """There was no answer; `code` is for programs."""

    code: str
    explanation: str
    status: int | None = None
    final: bool = False
    """Whether it was said that another try would be in vain."""
    elsewhere: bool = False
    """Whether the fault lies on the way, so that nothing is held against the endpoint."""


Outcome = Answered | Unanswered


@dataclass(frozen=True)
class Verdict:
    """What becomes of a message and of its endpoint after a try."""

    state: MessageState
    outcome: str
    status: int | None
    explanation: str | None
    again_in: timedelta = timedelta(0)
    gone: bool = False
    """The endpoint wants no more messages, ever."""
    held_for: timedelta | None = None
    """The endpoint itself asked to be left alone for so long."""
    elsewhere: bool = False
    """Nothing is held against the endpoint."""


def longest_silence(channel: Channel) -> timedelta:
    """Say how long a channel may be left alone at most, whatever failed there."""
    return _LONGEST_SILENCE if channel in OF_OPS else _LONGEST_RETRY_AFTER


def judge(
    outcome: Outcome, tries: int, left: timedelta, chance: float, most: timedelta = _LONGEST_RETRY_AFTER
) -> Verdict:
    """Say what an outcome means after so many tries; `chance` (0 to 1) spreads what failed together.

    Delivered is a 2xx and nothing else: a redirect is not followed, so it is a failure as any other. The next try is
    after `most` at the latest.
    """
    if isinstance(outcome, Answered) and 200 <= outcome.status < 300:
        return Verdict(MessageState.DELIVERED, "delivered", outcome.status, None)
    held = _held(outcome)
    again_in = min(max(_spread(_DELAYS[min(tries, len(_DELAYS)) - 1], chance), held or timedelta(0)), most)
    state = MessageState.DEAD if left <= timedelta(0) else MessageState.WAITING
    match outcome:
        case Answered(status):
            gone = status == _GONE
            return Verdict(state, "refused", status, _said(status), again_in, gone=gone, held_for=held)
        case Unanswered(code, explanation):
            state = MessageState.DEAD if outcome.final else state
            return Verdict(state, code, outcome.status, explanation, again_in, elsewhere=outcome.elsewhere)


def _held(outcome: Outcome) -> timedelta | None:
    if isinstance(outcome, Answered) and outcome.status in {429, 503} and outcome.retry_after is not None:
        return min(outcome.retry_after, _LONGEST_RETRY_AFTER)
    return None


def _said(status: int) -> str:
    if status == _GONE:
        return "The endpoint answered 410: it is disabled until you enable it again."
    if 300 <= status < 400:
        return f"The endpoint answered {status}; redirects are not followed, give the final address."
    return f"The endpoint answered {status}."


def pause_after(
    failures: int, held_for: timedelta | None, chance: float, most: timedelta = _LONGEST_RETRY_AFTER
) -> timedelta | None:
    """Say for how long an endpoint gets nothing after so many failures in a row, `most` at the most; None: it goes on.

    Where it asked to be left alone, that counts too.
    """
    if failures < _BREAKS_AFTER:
        return None if held_for is None else min(held_for, most)
    doubled = _FIRST_PAUSE * 2 ** min(failures - _BREAKS_AFTER, 10)
    return min(max(_spread(min(doubled, _LONGEST_PAUSE), chance), held_for or timedelta(0)), most)


def _spread(delay: timedelta, chance: float) -> timedelta:
    return delay * (1 - _JITTER + 2 * _JITTER * chance)


def retry_after_of(header: str | None, now: datetime) -> timedelta | None:
    """Read a Retry-After header: seconds or a date (RFC 9110 section 10.2.3); None where it says nothing usable."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:12]), 10**9))
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(timedelta(0), (at if at.tzinfo else at.replace(tzinfo=UTC)) - now)


def new_secret() -> str:
    """Make a secret: 256 random bits as Standard Webhooks writes them."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signature(of: Sequence[str], message_id: UUID, timestamp: int, body: bytes) -> str:
    """Sign a message with each of the secrets in force."""
    signed = b"%s.%d.%s" % (str(message_id).encode(), timestamp, body)
    keys = [base64.b64decode(secret.removeprefix(_PREFIX)) for secret in of]
    digests = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def headers_of(errand: Errand, now: datetime) -> Mapping[str, str]:
    """Give the headers that a message is sent with; the timestamp is that of the try."""
    timestamp = int(now.timestamp())
    return {
        "Content-Type": "application/json",
        "User-Agent": "invoicing-webhooks/1",
        "webhook-id": str(errand.id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(errand.secrets, errand.id, timestamp, errand.body.encode()),
    }


def trial_body(endpoint_id: UUID, at: str) -> Mapping[str, Any]:
    """Give the body of a test message."""
    return {"type": TEST, "timestamp": at, "data": {"webhook": str(endpoint_id)}}
