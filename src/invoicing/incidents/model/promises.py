"""From promises that no incident explains to findings: missed, or certain to be."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from uuid import UUID

from invoicing.incidents.model import causes
from invoicing.incidents.model.aftermath import Late, blast_of
from invoicing.incidents.model.causes import CERTAIN_CUSTOMERS, CERTAIN_JOBS, Cause
from invoicing.incidents.model.incident import Finding, Reach
from invoicing.lanes.model import Lane


def of_promises(late: Iterable[Late], certain: Collection[UUID], known: Collection[str]) -> Iterator[Finding]:
    """Find lanes of which promises are missed, or those of several jobs or customers certain to be.

    What is known by its scope already goes on while one is.
    """
    for lane, ones in _by_lane(late).items():
        scope = causes.lane_scope(lane.name)
        missed = [one for one in ones if one.missed]
        sure = [one for one in ones if not one.missed and one.job_id in certain]
        enough = len(sure) >= CERTAIN_JOBS or len({one.customer_id for one in sure}) >= CERTAIN_CUSTOMERS
        if missed or enough or (sure and scope in known):
            yield _of_late(lane, scope, missed, sure, len(ones) - len(missed))


def _of_late(lane: Lane, scope: str, missed: Sequence[Late], sure: Sequence[Late], at_risk: int) -> Finding:
    broken = [*missed, *sure]
    kinds = frozenset(one.kind for one in broken)
    return Finding(
        Cause.PROMISES_MISSED,
        scope,
        min(one.due if one.missed else one.told_at for one in broken),
        {
            "lane": lane.name,
            "kinds": sorted(kinds),
            "certain": len(sure),
            "first_due": min(one.due for one in broken),
        },
        replace(blast_of(broken), promises_at_risk=at_risk),
        Reach(lanes=frozenset({lane.name}), kinds=kinds),
    )


def _by_lane(late: Iterable[Late]) -> dict[Lane, list[Late]]:
    found: dict[Lane, list[Late]] = {}
    for one in late:
        found.setdefault(one.lane, []).append(one)
    return found
