"""Causes of a job that is held before it may run: a person looks at it first, a quota is used up, or it is paused.

The evidence is for customers too: it names what was measured and until when, and not who decides.
"""

from collections.abc import Mapping
from typing import Any

from invoicing.diagnosis.model.check import Check, Code, disproven, proven
from invoicing.diagnosis.model.facts import Facts
from invoicing.jobs.model import State
from invoicing.jobs.model.holds import SECONDS, AwaitingQuota, InReview, JobPause, plain


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
    hold = facts.hold
    if not facts.job.held or not isinstance(hold, AwaitingQuota):
        return disproven(Code.AWAITING_QUOTA, facts)
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


def paused(facts: Facts) -> Check:
    """Prove that our staff stopped this job alone, until when and why. Who did is told by role alone."""
    hold = facts.hold
    if not facts.job.held or not isinstance(hold, JobPause):
        return disproven(Code.PAUSED, facts)
    evidence = {"scope": "job", "by": hold.by, "reason": hold.message, "until": hold.until}
    wording = "job" if hold.message is None else "job_told"
    if hold.until <= facts.now:
        wording = "job_over"
    return proven(Code.PAUSED, facts, hold.since, until=hold.until, wording=wording, evidence=evidence)


def let_go(facts: Facts) -> Check:
    """Prove that what held it ended this moment, after it was read: it joins its queue."""
    if not facts.job.held or facts.hold is not None:
        return disproven(Code.STARTING, facts)
    return proven(Code.STARTING, facts, facts.now, wording="let_go")
