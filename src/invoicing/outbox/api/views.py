"""Endpoints and messages as their customer sees them."""

from datetime import UTC, datetime
from typing import Any

from invoicing.outbox.mailing import Address
from invoicing.outbox.model import Attempt, Delivery, Endpoint, MessageState


def webhook_view(endpoint: Endpoint, now: datetime) -> dict[str, Any]:
    """Give every field of an endpoint but its secret."""
    rotated = endpoint.old_secret_until
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "description": endpoint.description,
        "events": endpoint.events,
        "created_at": _utc(endpoint.created_at),
        "status": _status(endpoint),
        "failures": endpoint.failures,
        "held_until": _utc(endpoint.open_until),
        "disabled": endpoint.disabled_at and {"since": _utc(endpoint.disabled_at), "why": endpoint.disabled_why},
        "old_secret_until": _utc(rotated) if rotated is not None and rotated > now else None,
    }


def _status(endpoint: Endpoint) -> str:
    if endpoint.disabled_at is not None:
        return "disabled"
    return "failing" if endpoint.failures or endpoint.open_until is not None else "working"


def mail_view(address: Address) -> dict[str, Any]:
    """Give every field of a mail address."""
    failing = address.failures or address.open_until is not None
    return {
        "id": address.id,
        "address": address.address,
        "events": address.wanted,
        "language": address.language,
        "created_at": _utc(address.created_at),
        "confirmed_at": _utc(address.confirmed_at),
        "code_until": _utc(address.code_until),
        "status": "unconfirmed" if address.confirmed_at is None else "failing" if failing else "working",
        "failures": address.failures,
        "held_until": _utc(address.open_until),
    }


def delivery_view(delivery: Delivery, endpoint: Endpoint | Address, now: datetime) -> dict[str, Any]:
    """Give every field of a message and its attempts."""
    waits = delivery.state is MessageState.WAITING and endpoint.disabled_at is None
    due = max(delivery.due_at, endpoint.open_until or delivery.due_at, now)
    return {
        "id": delivery.id,
        "type": delivery.event,
        "job_id": delivery.job_id,
        "state": delivery.state,
        "created_at": _utc(delivery.created_at),
        "next_attempt_at": _utc(due) if waits else None,
        "gives_up_at": _utc(delivery.gives_up_at),
        "finished_at": _utc(delivery.finished_at),
        "attempts": [attempt_view(attempt) for attempt in delivery.tries],
    }


def attempt_view(attempt: Attempt) -> dict[str, Any]:
    """Give every field of an attempt."""
    return {
        "number": attempt.number,
        "at": _utc(attempt.started_at),
        "took_s": None if attempt.took_s is None else round(attempt.took_s, 3),
        "outcome": attempt.outcome,
        "status": attempt.status,
        "explanation": attempt.explanation,
    }


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
