"""Endpoints added, changed and tried out by their customers; messages listed and resent; who a job may be told to."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic_core import to_json

from invoicing.customers.model import Principal
from invoicing.customers.service import audit
from invoicing.kit.clock import rfc3339
from invoicing.kit.db import Session
from invoicing.kit.egress import EgressError, Network, target_of
from invoicing.kit.ids import new_id
from invoicing.kit.problems import Problem
from invoicing.outbox.model import (
    MOST_ENDPOINTS,
    OLD_SECRET_KEPT,
    TEST,
    WINDOW,
    Delivery,
    Endpoint,
    NewEndpoint,
    new_secret,
    trial_body,
)
from invoicing.outbox.store import deliveries, endpoints
from invoicing.outbox.store.deliveries import first_delivered
from invoicing.outbox.store.endpoints import endpoints_of
from invoicing.outbox.store.updates import tell_updates


@dataclass(frozen=True)
class Wish:
    """An endpoint as its customer asks for it."""

    url: str
    description: str | None
    events: Sequence[str] | None

    @property
    def fingerprint(self) -> bytes:
        """Tell this wish from another under the same idempotency key."""
        return hashlib.sha256(to_json([self.url, self.description, self.events])).digest()


@dataclass(frozen=True)
class Added:
    """What adding an endpoint gave: its secret the first time, and never again."""

    endpoint: Endpoint
    secret: str | None


async def add(
    session: Session, principal: Principal, wish: Wish, idempotency_key: str, allowed: Sequence[Network]
) -> Added:
    """Add an endpoint; the same request under the same key gives the one it made, without the secret.

    Raises `Problem`: an address that will never be asked, one that is there already, too many of them.
    """
    customer_id = tenant(principal)
    await endpoints.hold_customer(session, customer_id)
    earlier = await _made_before(session, customer_id, wish, idempotency_key)
    if earlier is not None:
        return Added(earlier, None)
    _refuse_address(wish.url, allowed)
    existing = await endpoints.endpoints_of(session, customer_id)
    if any(one.url == wish.url for one in existing):
        raise Problem(
            "conflict",
            "You have a webhook with this URL already.",
            field="/url",
            remedy="GET /v1/webhooks lists it; remove it first to add it anew, or rotate its secret.",
        )
    if len(existing) >= MOST_ENDPOINTS:
        raise Problem(
            "conflict", f"You have {MOST_ENDPOINTS} webhooks, as many as may be.", remedy="Remove one that is not used."
        )
    secret = new_secret()
    new = NewEndpoint(
        id=new_id(),
        customer_id=customer_id,
        url=wish.url,
        description=wish.description,
        events=wish.events,
        secret=secret,
        idempotency_key=idempotency_key,
        body_hash=wish.fingerprint,
    )
    made = await endpoints.insert_endpoint(session, new)
    if made is None:
        raise RuntimeError("an endpoint was added although the customer was held")
    await audit(session, principal, "webhook.added", _target(made.id), None, {"url": wish.url})
    return Added(made, secret)


async def _made_before(session: Session, customer_id: UUID, wish: Wish, idempotency_key: str) -> Endpoint | None:
    earlier = await endpoints.made_under(session, customer_id, idempotency_key)
    if earlier is None:
        return None
    endpoint_id, body_hash = earlier
    if body_hash != wish.fingerprint:
        raise Problem(
            "idempotency_key_reused",
            f"This Idempotency-Key was used for another request, which made webhook {endpoint_id}.",
            field="/headers/Idempotency-Key",
            remedy="Use a new key for a new request, or send the first request unchanged.",
        )
    found = await endpoints.endpoint(session, customer_id, endpoint_id)
    if found is None:
        raise Problem(
            "gone", "The webhook of this Idempotency-Key has been removed.", remedy="Use a new key to add it anew."
        )
    return found


def _refuse_address(url: str, allowed: Sequence[Network]) -> None:
    try:
        target_of(url, allowed)
    except EgressError as error:
        raise Problem(
            "bad_input",
            f"/url: {error}",
            field="/url",
            remedy="Give an https:// URL on the public internet, such as https://example.com/hooks/invoicing.",
        ) from error


async def get(session: Session, principal: Principal, endpoint_id: UUID) -> Endpoint:
    """Find an endpoint; raises `Problem` when this customer has none such."""
    found = await endpoints.endpoint(session, tenant(principal), endpoint_id)
    if found is None:
        raise no_such_webhook()
    return found


async def remove(session: Session, principal: Principal, endpoint_id: UUID) -> None:
    """Remove an endpoint: it is told nothing more, not even what waits."""
    if not await endpoints.remove(session, tenant(principal), endpoint_id):
        raise no_such_webhook()
    await audit(session, principal, "webhook.removed", _target(endpoint_id))


async def enable(session: Session, principal: Principal, endpoint_id: UUID) -> Endpoint:
    """Let an endpoint have messages again, those that waited meanwhile first."""
    if not await endpoints.enable(session, tenant(principal), endpoint_id):
        raise no_such_webhook()
    await deliveries.let_through(session, endpoint_id)
    await audit(session, principal, "webhook.enabled", _target(endpoint_id))
    return await get(session, principal, endpoint_id)


async def rotate(session: Session, principal: Principal, endpoint_id: UUID) -> Added:
    """Give an endpoint a new secret; messages are signed with both until the old one is over."""
    secret = new_secret()
    if not await endpoints.rotate(session, tenant(principal), endpoint_id, secret, OLD_SECRET_KEPT):
        raise no_such_webhook()
    await audit(session, principal, "webhook.secret_rotated", _target(endpoint_id))
    return Added(await get(session, principal, endpoint_id), secret)


async def test(session: Session, principal: Principal, endpoint_id: UUID, at: datetime) -> Delivery:
    """Have a message sent to an endpoint that says nothing but that it was asked for.

    One that waits already is sent instead of a further one: nobody is flooded by way of us.
    """
    endpoint = await get(session, principal, endpoint_id)
    _refuse_disabled(endpoint)
    waiting = await deliveries.waiting_id(session, endpoint.customer_id, endpoint.id, TEST)
    if waiting is not None:
        return await resend(session, principal, endpoint_id, waiting)
    message_id = new_id()
    body = to_json(trial_body(endpoint.id, rfc3339(at))).decode()
    await deliveries.insert_message(session, message_id, endpoint.customer_id, endpoint.id, TEST, body, WINDOW)
    await deliveries.let_through(session, endpoint.id)
    await audit(session, principal, "webhook.tested", _target(endpoint.id), None, {"delivery": str(message_id)})
    return await _delivery(session, endpoint, message_id)


async def page(
    session: Session, principal: Principal, endpoint_id: UUID, *, before: UUID | None, limit: int, state: str | None
) -> tuple[Endpoint, list[Delivery]]:
    """List the messages to an endpoint, the newest first."""
    endpoint = await get(session, principal, endpoint_id)
    found = await deliveries.page(session, endpoint.customer_id, endpoint.id, before=before, limit=limit, state=state)
    return endpoint, found


async def resend(session: Session, principal: Principal, endpoint_id: UUID, message_id: UUID) -> Delivery:
    """Have a message sent once more, under the same id; one that is being sent right now is left to that."""
    endpoint = await get(session, principal, endpoint_id)
    await _delivery(session, endpoint, message_id)
    _refuse_disabled(endpoint)
    if await deliveries.resend(session, endpoint.customer_id, endpoint.id, message_id, WINDOW):
        await deliveries.let_through(session, endpoint.id)
        await audit(session, principal, "webhook.resent", _target(endpoint.id), None, {"delivery": str(message_id)})
    return await _delivery(session, endpoint, message_id)


async def _delivery(session: Session, endpoint: Endpoint, message_id: UUID) -> Delivery:
    found = await deliveries.delivery(session, endpoint.customer_id, endpoint.id, message_id)
    if found is None:
        raise no_such_delivery()
    return found


def _refuse_disabled(endpoint: Endpoint) -> None:
    if endpoint.disabled_at is not None:
        raise Problem(
            "conflict",
            f"The webhook is disabled: {endpoint.disabled_why}",
            remedy="POST /v1/webhooks/{id}:enable first; what waited meanwhile is then sent by itself.",
        )


async def unknown(session: Session, customer_id: UUID, named: Collection[str]) -> set[str]:
    """Give those of some names (ids or URLs) that are of no endpoint of this customer."""
    return set(named) - await endpoints.names(session, customer_id, named)


def tenant(principal: Principal) -> UUID:
    """Give the id of the customer that a key acts for."""
    if principal.customer_id is None:
        raise ValueError("the gate lets only customers' keys through")
    return principal.customer_id


def no_such_webhook() -> Problem:
    """Say that there is no such endpoint: not at all, or not of this customer; the answer does not tell which."""
    return Problem("not_found", "There is no such webhook.", remedy="GET /v1/webhooks lists your webhooks.")


def no_such_delivery() -> Problem:
    """Say that there is no such message to this endpoint."""
    return Problem("not_found", "There is no such delivery.", remedy="GET /v1/webhooks/{id}/deliveries lists them.")


def _target(endpoint_id: UUID) -> str:
    return f"webhook:{endpoint_id}"


__all__ = [
    "Added",
    "Wish",
    "add",
    "enable",
    "endpoints_of",
    "first_delivered",
    "get",
    "no_such_delivery",
    "no_such_webhook",
    "page",
    "remove",
    "resend",
    "rotate",
    "tell_updates",
    "tenant",
    "test",
    "unknown",
]
