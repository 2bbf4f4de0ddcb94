"""Mail addresses added by their customers, confirmed by a code that only who reads the mail there can know."""

import hashlib
import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic_core import to_json

from invoicing.customers.model import Principal
from invoicing.customers.service import audit
from invoicing.kit.clock import rfc3339
from invoicing.kit.db import Session
from invoicing.kit.ids import new_id
from invoicing.kit.problems import Problem
from invoicing.outbox.mailing import (
    CODE_KEPT,
    CODES_APART,
    CONFIRM,
    MAILED,
    MAILTO,
    MOST_ADDRESSES,
    MOST_CODES_OF_CUSTOMER,
    MOST_CODES_TO_ADDRESS,
    MOST_GUESSES,
    Address,
    NewAddress,
    code_hash,
    new_code,
)
from invoicing.outbox.model import WINDOW, Channel, Delivery
from invoicing.outbox.service import tenant
from invoicing.outbox.store import addresses, deliveries, endpoints
from invoicing.outbox.store.addresses import addresses_of


@dataclass(frozen=True)
class Wish:
    """An address as its customer asks for it."""

    address: str
    language: str
    events: Sequence[str] | None

    @property
    def url(self) -> str:
        """Write it as a URL; the part after the @ means the same in capitals."""
        local, _, domain = self.address.rpartition("@")
        return f"{MAILTO}{local}@{domain.lower()}"

    @property
    def fingerprint(self) -> bytes:
        """Tell this wish from another under the same idempotency key."""
        return hashlib.sha256(to_json([self.url, self.language, self.events])).digest()


async def add(
    session: Session, principal: Principal, wish: Wish, idempotency_key: str, at: datetime
) -> tuple[Address, bool]:
    """Add an address and have a code sent to it, and nothing else; tells whether an earlier request did it.

    Raises `Problem`: one that is there already, too many of them, too many codes.
    """
    customer_id = tenant(principal)
    await endpoints.hold_customer(session, customer_id)
    earlier = await endpoints.made_under(session, customer_id, idempotency_key)
    if earlier is not None:
        return await _made_before(session, customer_id, wish, *earlier), True
    existing = await addresses.addresses_of(session, customer_id)
    if any(one.url == wish.url for one in existing):
        remedy = "GET /v1/mails lists it; have a new code sent if it is not confirmed."
        raise Problem("conflict", "You have this mail address already.", field="/address", remedy=remedy)
    if len(existing) >= MOST_ADDRESSES:
        words = f"You have {MOST_ADDRESSES} mail addresses, as many as may be."
        raise Problem("conflict", words, remedy="Remove one that is not used.")
    new = NewAddress(
        id=new_id(),
        customer_id=customer_id,
        url=wish.url,
        language=wish.language,
        wanted=list(MAILED) if wish.events is None else list(wish.events),
        idempotency_key=idempotency_key,
        body_hash=wish.fingerprint,
    )
    await _may_send(session, customer_id, wish.url)
    made = await addresses.insert_address(session, new)
    if made is None:
        raise RuntimeError("an address was added although the customer was held")
    await _send(session, made, at)
    await audit(session, principal, "mail.added", _target(made.id))
    return await get(session, principal, made.id), False


async def _made_before(
    session: Session, customer_id: UUID, wish: Wish, address_id: UUID, fingerprint: bytes
) -> Address:
    if fingerprint != wish.fingerprint:
        raise Problem(
            "idempotency_key_reused",
            "This Idempotency-Key was used for another request.",
            field="/headers/Idempotency-Key",
            remedy="Use a new key for a new request, or send the first request unchanged.",
        )
    found = await addresses.address(session, customer_id, address_id)
    if found is None:
        words = "The mail address of this Idempotency-Key has been removed."
        raise Problem("gone", words, remedy="Use a new key to add it anew.")
    return found


async def send_code(session: Session, principal: Principal, address_id: UUID, at: datetime) -> Address:
    """Have a new code sent to an address that is not confirmed; the one before is void."""
    found = await get(session, principal, address_id)
    if found.confirmed_at is not None:
        raise Problem("conflict", "The address is confirmed already.", remedy="It needs no further code.")
    await endpoints.hold_customer(session, found.customer_id)
    await _may_send(session, found.customer_id, found.url)
    await addresses.forget_codes(session, found.customer_id, found.id)
    await _send(session, found, at)
    await audit(session, principal, "mail.code_sent", _target(found.id))
    return await get(session, principal, address_id)


async def _may_send(session: Session, customer_id: UUID, url: str) -> None:
    """Refuse what would flood somebody: an address that did not ask for it, or many of them."""
    await addresses.hold_address(session, url)
    sent = await addresses.sent(session, customer_id, url)
    soon = CODES_APART.total_seconds()
    if sent.seconds_ago is not None and sent.seconds_ago < soon:
        raise _too_often("A code was sent to this address a moment ago.", soon - sent.seconds_ago)
    if sent.to_address >= MOST_CODES_TO_ADDRESS or sent.by_customer >= MOST_CODES_OF_CUSTOMER:
        raise _too_often("As many codes as may be were sent in the last day.", 3_600.0)


def _too_often(words: str, again_in_s: float) -> Problem:
    headers = {"Retry-After": str(max(1, math.ceil(again_in_s)))}
    return Problem("rate_limited", words, remedy="Look for the mail that was sent, or wait.", headers=headers)


async def _send(session: Session, address: Address, at: datetime) -> None:
    code = new_code()
    await addresses.set_code(session, address.id, code_hash(address.id, code), CODE_KEPT)
    customer = await addresses.name_of_customer(session, address.customer_id)
    body = to_json({"type": CONFIRM, "timestamp": rfc3339(at), "data": {"code": code, "customer": customer}}).decode()
    owner = address.customer_id, address.id
    await deliveries.insert_message(session, new_id(), *owner, CONFIRM, body, WINDOW, Channel.MAIL)
    await deliveries.let_through(session, address.id)


async def try_code(session: Session, principal: Principal, address_id: UUID, code: str) -> bool:
    """Confirm an address by the code that was sent to it; False, and one guess less, when it is another.

    Whoever calls this must commit in either case: the guess counts.
    """
    found = await get(session, principal, address_id)
    if found.confirmed_at is not None:
        return True
    hashed = await addresses.guess(session, found.customer_id, found.id, MOST_GUESSES)
    if hashed is None or not hmac.compare_digest(hashed, code_hash(found.id, code)):
        return False
    await addresses.confirm(session, found.customer_id, found.id)
    await audit(session, principal, "mail.confirmed", _target(found.id))
    return True


async def get(session: Session, principal: Principal, address_id: UUID) -> Address:
    """Find an address; raises `Problem` when this customer has none such."""
    found = await addresses.address(session, tenant(principal), address_id)
    if found is None:
        raise no_such_address()
    return found


async def remove(session: Session, principal: Principal, address_id: UUID) -> None:
    """Remove an address: it is told nothing more, not even what waits."""
    customer_id = tenant(principal)
    if not await addresses.remove(session, customer_id, address_id):
        raise no_such_address()
    await addresses.forget_codes(session, customer_id, address_id)
    await audit(session, principal, "mail.removed", _target(address_id))


async def page(
    session: Session, principal: Principal, address_id: UUID, *, before: UUID | None, limit: int, state: str | None
) -> tuple[Address, list[Delivery]]:
    """List the mails to an address, the newest first."""
    found = await get(session, principal, address_id)
    mails = await deliveries.page(session, found.customer_id, found.id, before=before, limit=limit, state=state)
    return found, mails


async def resend(session: Session, principal: Principal, address_id: UUID, message_id: UUID) -> Delivery:
    """Have a mail sent once more, under the same Message-ID; one that is being sent right now is left to that."""
    found = await get(session, principal, address_id)
    mail = await _delivery(session, found, message_id)
    if mail.event == CONFIRM:
        words = "A mail with a code is not sent again."
        raise Problem("conflict", words, remedy="POST /v1/mails/{id}:send-code has a new one sent.")
    if await deliveries.resend(session, found.customer_id, found.id, message_id, WINDOW):
        await deliveries.let_through(session, found.id)
        await audit(session, principal, "mail.resent", _target(found.id), None, {"delivery": str(message_id)})
    return await _delivery(session, found, message_id)


async def _delivery(session: Session, address: Address, message_id: UUID) -> Delivery:
    found = await deliveries.delivery(session, address.customer_id, address.id, message_id)
    if found is None:
        raise no_such_mail()
    return found


def no_such_address() -> Problem:
    """Say that there is no such address: not at all, or not of this customer; the answer does not tell which."""
    return Problem("not_found", "There is no such mail address.", remedy="GET /v1/mails lists your addresses.")


def no_such_mail() -> Problem:
    """Say that there is no such mail to this address."""
    return Problem("not_found", "There is no such mail.", remedy="GET /v1/mails/{id}/deliveries lists them.")


def no_mails_here() -> Problem:
    """Say that this service sends no mails at all."""
    return Problem(
        "conflict", "This service sends no mails.", remedy="Add a webhook instead, or ask whoever runs the service."
    )


def _target(address_id: UUID) -> str:
    return f"mail:{address_id}"


__all__ = [
    "Wish",
    "add",
    "addresses_of",
    "get",
    "no_mails_here",
    "no_such_address",
    "no_such_mail",
    "page",
    "remove",
    "resend",
    "send_code",
    "try_code",
]
