"""What our staff may do to a job at once: expedite, move, retry, cancel, pause, promise another time.

Each comes with a preview of what it will change: the very thing, done and taken back, so that it cannot differ from
what then happens.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, assert_never

from pydantic_core import to_jsonable_python

from invoicing.customers import service as customers
from invoicing.customers.model import Principal
from invoicing.jobs import service as ledger
from invoicing.jobs.model import FINISHED, WAITING, Job, Priority, Size, Standing, State
from invoicing.jobs.model.calendars import Calendar, next_open
from invoicing.jobs.model.holds import LONGEST_PAUSE, REJECTED
from invoicing.jobs.view import UNKNOWN, Explainer
from invoicing.kit.clock import rfc3339
from invoicing.kit.db import Session
from invoicing.kit.problems import Problem
from invoicing.lanes.model import Lane
from invoicing.lanes.policies import policy_for


@dataclass(frozen=True)
class Expedite:
    """Put it before the fair order."""


@dataclass(frozen=True)
class Move:
    """Let it wait in another lane; None: as it is."""

    priority: Priority | None
    size: Size | None


@dataclass(frozen=True)
class Retry:
    """Have it tried now."""


@dataclass(frozen=True)
class Cancel:
    """End it."""


@dataclass(frozen=True)
class Promise:
    """Promise another time for its end."""

    due: datetime


@dataclass(frozen=True)
class Release:
    """Let it go: it was looked at, and may run."""


@dataclass(frozen=True)
class Reject:
    """End it: it was looked at, and may not run."""

    message: str
    """What its customer is told."""


@dataclass(frozen=True)
class Pause:
    """Hold it until a time, or change until when and why it is held."""

    until: datetime
    message: str | None
    """What its customer is told."""


@dataclass(frozen=True)
class Resume:
    """Let it go on that is paused."""


Wish = Expedite | Move | Retry | Cancel | Promise | Release | Reject | Pause | Resume

_ACTS: Mapping[type[Wish], str] = {
    Expedite: "job.expedited",
    Move: "job.moved",
    Retry: "job.retried",
    Cancel: "job.cancelled",
    Promise: "job.promise_moved",
    Release: "job.released",
    Reject: "job.rejected",
    Pause: "job.paused",
    Resume: "job.resumed",
}
"""What the audit calls each."""


@dataclass(frozen=True)
class Seen:
    """A job, and what is known of it."""

    job: Job
    standing: Standing


@dataclass(frozen=True)
class Done:
    """What an act changed; `replayed`: an earlier request with the same idempotency key had done it."""

    customer: str
    before: Seen
    after: Seen
    changed: bool
    replayed: bool = False


async def act(
    session: Session,
    principal: Principal,
    job: Job | None,
    wish: Wish,
    reason: str,
    explain: Explainer,
    idempotency_key: str | None = None,
) -> Done:
    """Do to a job what our staff wish, and put it on the audit, all in this transaction; rolled back, it is a preview.

    `job` is as `ledger.found` gave it: locked. Raises `Problem` where there is none, or where it can no longer be done.
    """
    if job is None:
        raise Problem("not_found", "There is no such job.", remedy="Look it up by its customer or its reference.")
    slug = await customers.slug_of(session, job.customer_id)
    replayed = await _done_before(session, principal, job, wish, idempotency_key)
    before = await _seen(session, job, explain)
    if replayed:
        return Done(slug, before, before, changed=False, replayed=True)
    paused = job.held and await ledger.is_paused(session, job.id)
    _refuse_where_it_makes_no_sense(job, wish, paused=paused)
    changed = await _carry_out(session, principal, before, wish, reason)
    present = await ledger.found(session, job.id) or job
    after = await _seen(session, present, explain) if changed else before
    if changed:
        data = {**_audit_data(before, after), "wish": _plain(wish)}
        data |= {"idempotency_key": idempotency_key} if idempotency_key else {}
        await customers.audit(session, principal, _ACTS[type(wish)], f"job:{job.id}", reason, data)
    return Done(slug, before, after, changed)


async def _seen(session: Session, job: Job, explain: Explainer) -> Seen:
    return Seen(job, (await explain(session, [job])).get(job.id, UNKNOWN))


async def _done_before(session: Session, principal: Principal, job: Job, wish: Wish, key: str | None) -> bool:
    """Tell whether a request with the same key did the same; raises `Problem` where it did something else."""
    if key is None:
        return False
    earlier = await customers.audited_under(session, principal.key_id, f"job:{job.id}", key)
    if earlier is not None and (earlier["act"] != _ACTS[type(wish)] or earlier["data"].get("wish") != _plain(wish)):
        raise Problem(
            "idempotency_key_reused",
            f"This key was used for another act on this job: {earlier['act']}.",
            field="/headers/Idempotency-Key",
            remedy="Send a fresh key with each new request.",
        )
    return earlier is not None


def _plain(wish: Wish) -> Any:  # noqa: ANN401 - as the audit keeps it
    return to_jsonable_python(asdict(wish))


async def _carry_out(session: Session, principal: Principal, seen: Seen, wish: Wish, reason: str) -> bool:
    job = seen.job
    signed = ledger.Signed(principal.role, f"{principal.role}:{principal.label}", reason)
    policy = await policy_for(session)
    match wish:
        case Expedite():
            return await ledger.expedite(session, job, signed)
        case Move(priority, size):
            to = priority or job.priority, size or job.size
            return await ledger.move(session, job, signed, to, policy.due_after(*to))
        case Retry():
            return await ledger.retry(session, job, signed, policy.due_after(job.priority, job.size))
        case Cancel():
            ended = await ledger.cancel(session, job.customer_id, job.id)
            return ended is not None and ended[1] is not None
        case Promise(due):
            return await ledger.move_promise(session, job, due, seen.standing, signed)
        case Release() | Reject() | Pause() | Resume():
            return await _hold_or_let_go(session, job, wish, signed)
        case _:
            assert_never(wish)


async def _hold_or_let_go(
    session: Session, job: Job, wish: Release | Reject | Pause | Resume, signed: ledger.Signed
) -> bool:
    match wish:
        case Release():
            return await ledger.release_review(session, job, signed)
        case Reject(message):
            return await ledger.reject_review(session, job, signed, message)
        case Pause(until, told):
            return await ledger.pause_job(session, job, signed, until, told)
        case Resume():
            return await ledger.resume_job(session, job, signed)
        case _:
            assert_never(wish)


def refuse_promise(due: datetime, calendar: Calendar | None, now: datetime) -> None:
    """Raise `Problem` where a time cannot be promised: it is over, or nobody works then."""
    if due <= now:
        remedy = "Promise a time that lies ahead."
        raise Problem("bad_input", "/due: That time is over.", field="/due", remedy=remedy)
    opens = next_open(due, calendar)
    if opens != due:
        detail = "/due: Nobody works then: the promises of this job are in business hours."
        raise Problem("bad_input", detail, field="/due", remedy=f"The next open time is {rfc3339(opens)}.")


def refuse_pause(until: datetime, now: datetime) -> None:
    """Raise `Problem` where a job cannot be paused until a time: it is over, or too far away."""
    if until <= now:
        remedy = "Give a time to come."
        raise Problem("bad_input", "/until: That time is over.", field="/until", remedy=remedy)
    if until > now + LONGEST_PAUSE:
        detail = f"/until: A job is paused for {LONGEST_PAUSE.days} days at most."
        remedy = f"The latest time is {rfc3339(now + LONGEST_PAUSE)}; it can be paused again."
        raise Problem("bad_input", detail, field="/until", remedy=remedy)


def _refuse_where_it_makes_no_sense(job: Job, wish: Wish, *, paused: bool) -> None:
    _refuse_what_is_held(job, wish, paused=paused)
    match wish:
        case Pause() if job.state is State.RUNNING:
            raise Problem("conflict", "The job runs already.", remedy=":cancel stops it at its next checkpoint.")
        case Pause() if job.state in FINISHED:
            raise Problem("conflict", f"The job is {job.state} and can no longer be paused.")
        case Expedite() if job.state is State.RUNNING:
            raise Problem("conflict", "The job runs already.", remedy="GET the job for its progress and its end.")
        case Move() if job.state is State.RUNNING:
            remedy = "It moves by itself when it outlives its class; a job that gave way can be moved."
            raise Problem("conflict", "The job runs already.", remedy=remedy)
        case Expedite() | Move() if job.state not in WAITING:
            remedy = ":retry has it tried again." if job.state is State.DEAD else "A new job must be submitted."
            raise Problem("conflict", f"The job is {job.state}.", remedy=remedy)
        case Retry() if job.state not in {State.DEAD, State.RETRYING}:
            remedies = {State.QUEUED: ":expedite puts it first.", State.RUNNING: ":cancel stops it."}
            detail = f"The job is {job.state}: there is nothing to try again."
            raise Problem("conflict", detail, remedy=remedies.get(job.state, "A new job must be submitted."))
        case Cancel() if job.state in FINISHED:
            raise Problem("conflict", f"The job is {job.state} and can no longer be cancelled.")
        case Promise() if job.state in FINISHED:
            raise Problem("conflict", f"The job is {job.state}: its promise has been kept or missed.")
        case Cancel() if job.irrevocable and job.cancel_requested_at is None:
            remedy = "An issued invoice is corrected by a credit note."
            raise Problem("conflict", "The job's outcome has begun to be a fact in the world.", remedy=remedy)
        case _:
            return


def _refuse_what_is_held(job: Job, wish: Wish, *, paused: bool) -> None:
    """Raise `Problem` where an act would pass over a reviewer, a quota or a pause, or has nothing to decide."""
    decides = isinstance(wish, Release | Reject)
    if isinstance(wish, Resume) and not paused:
        raise Problem("conflict", f"The job is {job.state} and not paused: there is nothing to resume.")
    if paused and isinstance(wish, Expedite | Move | Retry):
        raise Problem("conflict", "The job is paused.", remedy="First :resume lets it go on, in its place.")
    if job.state is State.IN_REVIEW and not decides and not isinstance(wish, Cancel | Promise):
        remedy = "It may start once it is released: :release or :reject decides."
        raise Problem("conflict", "The job is being reviewed by a person.", remedy=remedy)
    if decides and job.state is not State.IN_REVIEW:
        raise Problem("conflict", f"The job is {job.state}: there is nothing to decide about it.")
    if job.held and not paused and isinstance(wish, Expedite | Move | Pause):
        remedy = "An administrator may raise the quota: POST /v1/admin/quotas."
        raise Problem("conflict", "The job waits for a place in its customer's quota.", remedy=remedy)
    if isinstance(wish, Retry) and (job.error or {}).get("code") == REJECTED:
        raise Problem("conflict", "The job was rejected by a reviewer.", remedy="A new job must be submitted.")


def _audit_data(before: Seen, after: Seen) -> dict[str, Any]:
    return {
        "customer": str(before.job.customer_id),
        "before": _audited(before),
        "after": _audited(after),
    }


def _audited(seen: Seen) -> dict[str, Any]:
    job = seen.job
    due = rfc3339(job.promise_due)
    return {"state": job.state, "lane": _lane(job), "ahead": seen.standing.ahead, "promise_due": due}


def _lane(job: Job) -> str:
    return Lane(job.priority, job.size).name
