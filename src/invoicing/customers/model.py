"""A customer, a key and the person behind it, and which role may do what."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    """What a key may be used for; roles do not include one another except for `admin`, which includes all of staff."""

    CUSTOMER = "customer"
    SUPPORT = "support"
    OPS = "ops"
    ADMIN = "admin"


STAFF = frozenset({Role.SUPPORT, Role.OPS, Role.ADMIN})


@dataclass(frozen=True)
class Customer:
    """Somebody who submits jobs: an id for ever; slug and name are data on it."""

    id: UUID
    slug: str
    name: str
    rate_per_s: float
    burst: int
    created_at: datetime
    weight: float = 1.0
    """Its share of the slots against the others'."""
    max_running: int | None = None
    """How many of its jobs may run at once; None: as many as there are slots for."""
    max_waiting: int | None = None
    """How many of its jobs may wait; None: what the lanes' policy says."""


@dataclass(frozen=True)
class Allotment:
    """What a customer may have of the lanes, where that is not the usual."""

    weight: float = 1.0
    max_running: int | None = None
    max_waiting: int | None = None


@dataclass(frozen=True)
class CustomerPause:
    """A customer of which nothing starts until a time, by whom and why."""

    customer_id: UUID
    since: datetime
    until: datetime
    reason: str
    by: str


@dataclass(frozen=True)
class Principal:
    """Who makes a request: one key, with its role and, for a customer's key, the customer it acts for."""

    key_id: UUID
    role: Role
    label: str
    customer_id: UUID | None = None
    customer: str | None = None
    rate_per_s: float = 100.0
    burst: int = 1000

    def may_act_as(self, allowed: frozenset[Role]) -> bool:
        """Tell whether this role is among those allowed; an admin may do what any of our staff may."""
        return self.role in allowed or (self.role is Role.ADMIN and bool(allowed & STAFF))


@dataclass(frozen=True)
class KeyRecord:
    """A key as it is kept: without the key itself."""

    id: UUID
    hint: str
    role: Role
    label: str
    customer: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def new_key(role: Role) -> str:
    """Make a key: 256 random bits behind a prefix that secret scanners and people can recognise."""
    return f"inv_{role}_{secrets.token_urlsafe(32)}"


def fingerprint(key: str) -> bytes:
    """Hash a key for storage (SHA-256; a key is 256 random bits, so a slow hash would protect nothing more)."""
    return hashlib.sha256(key.encode()).digest()


def hint(key: str) -> str:
    """Give the part of a key that may be shown, so that a person can tell which one it is."""
    return key[: key.index("_", 4) + 5]
