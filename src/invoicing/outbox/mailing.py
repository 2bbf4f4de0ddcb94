"""Mail addresses as values, and the codes by which they prove themselves."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from invoicing.outbox.model import WebhookEvent

CONFIRM = "mail.confirm"
"""The event of a message that brings an address its code."""

MAILTO = "mailto:"

MAILED = (
    *(WebhookEvent.SUCCEEDED, WebhookEvent.DEAD, WebhookEvent.CANCELLED),
    *(WebhookEvent.MAINTENANCE_ANNOUNCED, WebhookEvent.MAINTENANCE_CANCELLED),
    *(WebhookEvent.INCIDENT_OPENED, WebhookEvent.INCIDENT_UPDATED, WebhookEvent.INCIDENT_RESOLVED),
)
"""What an address is told of unless it was asked otherwise."""

MOST_ADDRESSES = 20
"""Mail addresses of one customer."""

CODE_KEPT = timedelta(hours=24)
MOST_GUESSES = 5
"""Wrong codes after which a new one must be sent."""

MOST_CODES_TO_ADDRESS, MOST_CODES_OF_CUSTOMER = 5, 20
"""Codes a day: nobody is flooded by way of us."""

CODES_APART = timedelta(minutes=1)

_LETTERS_OF_CODES = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""None that looks like another."""


@dataclass(frozen=True)
class Address:
    """A customer's mail address: confirmed, it is told of jobs; else it has been sent nothing but a code."""

    id: UUID
    customer_id: UUID
    url: str
    """`mailto:` and the address."""
    language: str
    wanted: Sequence[str]
    """What it is told of once it is confirmed."""
    created_at: datetime
    confirmed_at: datetime | None
    code_until: datetime | None
    """How long the last code that was sent to it is good for."""
    failures: int
    open_until: datetime | None
    disabled_at: datetime | None = None

    @property
    def address(self) -> str:
        """The address itself."""
        return self.url.removeprefix(MAILTO)


@dataclass(frozen=True)
class NewAddress:
    """A mail address to be added, which is told of nothing yet."""

    id: UUID
    customer_id: UUID
    url: str
    language: str
    wanted: Sequence[str]
    idempotency_key: str
    body_hash: bytes


@dataclass(frozen=True)
class Sent:
    """How many codes were sent in a day: by a customer, and to an address by anybody."""

    by_customer: int
    to_address: int
    seconds_ago: float | None
    """Since the last one to the address; None: there was none."""


def new_code() -> str:
    """Make a code that a person can copy: 40 random bits."""
    return "".join(secrets.choice(_LETTERS_OF_CODES) for _ in range(8))


def code_hash(address_id: UUID, code: str) -> bytes:
    """Give what is kept of a code; however it was typed."""
    typed = "".join(letter for letter in code.upper() if letter.isalnum())
    return hashlib.sha256(f"{address_id}:{typed}".encode()).digest()
