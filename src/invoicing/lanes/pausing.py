"""Pausing a customer: nothing of it starts until a time, and nobody else notices."""

from dataclasses import dataclass
from datetime import datetime

from invoicing.customers import service as customers
from invoicing.customers.model import Customer, CustomerPause, Principal
from invoicing.jobs import service as ledger
from invoicing.kit.db import Session
from invoicing.kit.problems import Problem
from invoicing.lanes import store


@dataclass(frozen=True)
class CustomerStanding:
    """Whether a customer is paused, and what it has under way."""

    slug: str
    pause: CustomerPause | None
    waiting: int
    running: int


async def pause_customer(
    session: Session, principal: Principal, slug: str, until: datetime, reason: str
) -> CustomerStanding:
    """Let nothing of a customer start until a time; what of it lies ready goes back to the backlog at once.

    What runs goes on. An earlier pause of it is replaced. Raises `Problem` where there is no such customer.
    """
    customer = await _locked(session, slug)
    await ledger.hold_releases(session)
    if until <= await store.database_time(session):
        raise Problem("bad_input", "`until` lies in the past.", field="/until", remedy="Give a time to come.")
    pause = await customers.pause(session, customer.id, until, reason, f"{principal.role}:{principal.label}")
    await ledger.withdraw_of(session, customer.id)
    await customers.audit(session, principal, "customer.paused", f"customer:{customer.id}", reason, {"until": until})
    return await _standing(session, customer, pause)


async def resume_customer(session: Session, principal: Principal, slug: str, reason: str) -> CustomerStanding:
    """Let a paused customer go on; raises `Problem` where there is no such customer."""
    customer = await _locked(session, slug)
    await ledger.hold_releases(session)
    if await customers.resume(session, customer.id):
        await customers.audit(session, principal, "customer.resumed", f"customer:{customer.id}", reason)
    await ledger.wake_dispatcher(session)
    return await _standing(session, customer, None)


async def customer_standing(session: Session, slug: str) -> CustomerStanding:
    """Tell whether a customer is paused, and what it has under way; raises `Problem` where there is none."""
    customer = _known(await customers.customer_by_slug(session, slug), slug)
    return await _standing(session, customer, (await customers.active_pauses(session)).get(customer.id))


async def _locked(session: Session, slug: str) -> Customer:
    """Find a customer, so that two who pause it come one after the other."""
    return _known(await customers.limits_locked(session, slug), slug)


def _known(customer: Customer | None, slug: str) -> Customer:
    if customer is None:
        raise no_such_customer(slug)
    return customer


def no_such_customer(slug: str) -> Problem:
    """Refuse what is asked about somebody unknown."""
    return Problem("not_found", f"There is no customer {slug!r}.", remedy="Correct the slug.")


async def _standing(session: Session, customer: Customer, pause: CustomerPause | None) -> CustomerStanding:
    waiting = await store.waiting_of(session, customer.id)
    return CustomerStanding(customer.slug, pause, waiting, await ledger.running_of(session, customer.id))
