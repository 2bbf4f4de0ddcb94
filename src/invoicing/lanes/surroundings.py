"""What changes rarely and the dispatcher has to know: workers, policy, what customers may have; and what it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from invoicing.customers import service as customers
from invoicing.customers.model import Allotment
from invoicing.jobs import service as ledger
from invoicing.jobs.model import Breakers
from invoicing.kit.db import Session
from invoicing.lanes import store
from invoicing.lanes.model import Policy
from invoicing.lanes.model.room import Capacity, capacity
from invoicing.lanes.policies import all_policies
from invoicing.lanes.store import accounts, fold_tallies

_FOLDED_AT_ONCE = 5_000


@dataclass(frozen=True)
class Surroundings:
    """What a round needs and does not read itself."""

    capacity: Capacity
    policy: Policy
    allotments: Mapping[UUID, Allotment]
    breakers: Breakers = field(default_factory=dict)
    """What is down that jobs need from outside."""


async def surroundings(session: Session) -> Surroundings:
    """Read what holds now."""
    policies = await all_policies(session)
    workers = await store.all_workers(session)
    offered = [(one, policies.slots(one.host) or one.slots, policies.of(one.host)) for one in workers]
    allotments, breakers = await customers.allotments(session), await ledger.breakers(session)
    return Surroundings(capacity(offered), policies.fleet, allotments, breakers)


async def fold(session: Session) -> None:
    """Fold the changes of what waits into the tallies, a bounded number at a time."""
    await fold_tallies(session, _FOLDED_AT_ONCE)


async def keep_accounts(session: Session, served: Mapping[UUID, float]) -> None:
    """Keep what customers were given; whoever is not named begins anew, like a new customer."""
    kept = await accounts(session)
    changed = {customer: seconds for customer, seconds in served.items() if kept.get(customer) != seconds}
    await store.keep_accounts(session, changed, kept.keys() - served.keys())


async def looked(session: Session, seconds_ago: float) -> None:
    """Write when the backlog was looked at."""
    await store.looked(session, seconds_ago)


__all__ = ["Surroundings", "accounts", "fold", "keep_accounts", "looked", "surroundings"]
