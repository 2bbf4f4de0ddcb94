"""Endpoints of those who run the service, and what they are told, as values."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from invoicing.outbox.model import Channel


@dataclass(frozen=True)
class NewOpsEndpoint:
    """An endpoint of ops to be added; `url` is what may be shown of its address."""

    id: UUID
    channel: Channel
    url: str
    secret: str = field(repr=False)
    idempotency_key: str
    body_hash: bytes


@dataclass(frozen=True)
class OpsEndpoint:
    """An endpoint of ops, without its secret."""

    id: UUID
    channel: Channel
    url: str
    created_at: datetime
    failures: int
    open_until: datetime | None


@dataclass(frozen=True)
class Announcement:
    """What is said of an incident at one of its revisions."""

    event: str
    incident_id: UUID
    seq: int
    body: str
