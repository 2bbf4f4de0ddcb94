"""Causes of a job that is held before it may run: a person looks at it first, or its customer's quota is used up.

The evidence is for customers too: it names what was measured and until when, and not who decides.
"""

from collections.abc import Mapping
from typing import Any

from invoicing.diagnosis.model.check import Check, Code, disproven, proven
from invoicing.diagnosis.model.facts import Facts
from invoicing.jobs.model import State
from invoicing.jobs.model.holds import SECONDS, AwaitingQuota, InReview, plain


def in_review(facts: Facts) -> Check:
    """Prove that a person decides before the job may run: why, and by when, or that this is overdue."""
    if facts.job.state is not State.IN_REVIEW:
        return disproven(Code.IN_REVIEW, facts)
    review = facts.hold
    if not isinstance(review, InReview):  # it ends this moment
        return proven(Code.IN_REVIEW, facts, facts.job.submitted_at)
    overdue = review.due <= facts.now
    evidence = {**_measured(review), "due_at": review.due, "overdue": overdue, "needed": "a decision of our reviewers"}
    wording = f"{evidence['measure']}_overdue" if overdue else evidence["measure"]
    until = None if overdue else review.due
    return proven(Code.IN_REVIEW, facts, review.since, until=until, wording=wording, evidence=evidence)


def _measured(review: InReview) -> Mapping[str, Any]:
    if review.measure == SECONDS:
        return {"measure": "size", "predicted_s": float(review.value), "limit_s": float(review.threshold)}
    amounts = {"amount": plain(review.value), "limit": plain(review.threshold)}
    return {"measure": "amount", "currency": review.measure, **amounts}


def awaiting_quota(facts: Facts) -> Check:
    """Prove that as many jobs as its customer's quota has places for have one, and when this one should have its."""
    if not facts.job.held:
        return disproven(Code.AWAITING_QUOTA, facts)
    hold = facts.hold
    if not isinstance(hold, AwaitingQuota):  # it goes this moment
        return proven(Code.AWAITING_QUOTA, facts, facts.waiting_since, wording="free")
    quota, turn_at = hold.quota, hold.quota.turn_of(hold.ahead)
    evidence = {
        "limit": quota.most,
        "used": quota.used,
        "period": quota.period,
        "zone": quota.zone,
        "resets_at": quota.resets_at,
        "ahead": hold.ahead,
        "at_least": hold.at_least,
        "turn_at": turn_at,
        "needed": "a place in your quota",
    }
    if turn_at is None:
        return proven(Code.AWAITING_QUOTA, facts, hold.since, wording="free", evidence=evidence)
    wording = quota.period if turn_at == quota.resets_at else f"{quota.period}_later"
    return proven(Code.AWAITING_QUOTA, facts, hold.since, until=turn_at, wording=wording, evidence=evidence)
