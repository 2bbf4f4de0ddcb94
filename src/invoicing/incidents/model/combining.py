"""One finding of several that one incident stands for."""

from collections.abc import Hashable, Sequence
from typing import TypeVar

from invoicing.incidents.model.incident import Blast, Finding, Reach

K = TypeVar("K", bound=Hashable)


def combined(findings: Sequence[Finding]) -> Finding:
    """Make one finding of several that one incident stands for, as when it was merged with another."""
    first = findings[0]
    if len(findings) == 1:
        return first
    blasts, reaches = [one.blast for one in findings], [one.reach for one in findings]
    oldest = [blast.oldest for blast in blasts if blast.oldest is not None]
    estimates = [one.estimate for one in findings if one.estimate is not None]
    latest = [one.latest for one in findings if one.latest is not None]
    return Finding(
        first.cause,
        first.scope,
        min(one.since for one in findings),
        {"findings": [{"cause": one.cause, "scope": one.scope, **one.evidence} for one in findings]},
        Blast(
            sum(blast.jobs for blast in blasts),
            max(blast.customers for blast in blasts),
            sum(blast.promises_at_risk for blast in blasts),
            sum(blast.promises_missed for blast in blasts),
            min(oldest, default=None),
            at_least=True,
        ),
        Reach(
            lanes=_all_of([reach.lanes for reach in reaches]),
            kinds=_all_of([reach.kinds for reach in reaches]),
            customers=_all_of([reach.customers for reach in reaches]),
            workers=_all_of([reach.workers for reach in reaches]),
            error=reaches[0].error if len({reach.error for reach in reaches}) == 1 else None,
        ),
        estimate=max(estimates) if len(estimates) == len(findings) else None,
        latest=max(latest) if len(latest) == len(findings) else None,
    )


def _all_of(sets: Sequence[frozenset[K] | None]) -> frozenset[K] | None:
    """Unite sets of which one that is not bounded bounds nothing."""
    bounded = [one for one in sets if one is not None]
    return frozenset().union(*bounded) if len(bounded) == len(sets) else None
