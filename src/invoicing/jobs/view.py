"""A job as everyone sees it, and what of it is judged rather than stored."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
from typing import Any, Protocol
from urllib.parse import quote
from uuid import UUID

from invoicing.jobs.model import (
    FINISHED,
    Accepted,
    Artifact,
    Cause,
    IncidentNotice,
    Job,
    NewJob,
    PromiseChange,
    PromiseStatus,
    Reason,
    Standing,
    State,
    TimelineEntry,
    reason_of,
)
from invoicing.jobs.model.promises import Promised, kept_at_the_end, standing_of
from invoicing.kit.db import Session


class Explainer(Protocol):
    """Says of jobs what is known beyond their rows, in a language; of every unfinished one at least its cause."""

    def __call__(
        self, session: Session, jobs: Sequence[Job], /, *, language: str = ...
    ) -> Awaitable[Mapping[UUID, Standing]]: ...


Newcomer = Callable[[Job, str], Standing]
"""Says of a job that was accepted this instant, in a language, what needs no look at the ledger: there is no time."""

Retell = Callable[[str, str, Mapping[str, Any], str], str | None]
"""Tells a cause again (its code, wording and fields) in a language; None where there are no words for it any more."""

UNKNOWN = Standing()

_FOR_STAFF = frozenset({"key_id", "staff"})
"""Of what a timeline tells, the part that its customer is not shown: which key, which of our people, and why."""

_LONGEST_PAUSE_S = 30
_USUAL_PAUSE_S = 2


def promise_status(job: Job, standing: Standing, now: datetime) -> PromiseStatus:
    """Judge a promise: by its end, else by what was told last and what is expected now."""
    if job.finished_at is not None:
        return kept_at_the_end(job.state, job.finished_at, job.promise_due)
    if job.promise_status is PromiseStatus.MISSED:
        return PromiseStatus.MISSED
    promised = Promised(job.promise_status, job.promise_due, job.submitted_at)
    return standing_of(promised, standing.eta, now, standing.not_before)


def pause_before_asking(job: Job, likely_end: datetime | None, now: datetime) -> int:
    """Give the seconds after which asking about an unfinished job again is worth it; what is held takes long."""
    if likely_end is None:
        return _LONGEST_PAUSE_S if job.held or job.state is State.IN_REVIEW else _USUAL_PAUSE_S
    return max(1, min(_LONGEST_PAUSE_S, ceil((likely_end - now).total_seconds())))


def reworded(reason: Reason, retell: Retell, language: str) -> Reason:
    """Give a reason in the reader's language, as far as it can be told again; else as it was told first."""
    if reason.wording is None:
        return reason
    return replace(reason, message=retell(reason.code, reason.wording, reason.fields or {}, language) or reason.message)


def standing_in(standing: Standing, retell: Retell, language: str) -> Standing:
    """Give what is known of a job in the reader's language, where it was explained in English to be written so."""
    if standing.cause is None:
        return standing
    message = reworded(reason_of(standing.cause), retell, language).message
    return replace(standing, cause=replace(standing.cause, message=message))


def history_in(changes: Sequence[PromiseChange], retell: Retell, language: str) -> list[PromiseChange]:
    """Give what was told of a promise in the reader's language."""
    return [
        replace(one, reason=reworded(one.reason, retell, language)) if one.reason is not None else one
        for one in changes
    ]


def job_view(
    job: Job,
    customer: str,
    standing: Standing,
    artifacts: Sequence[Artifact],
    now: datetime,
    promise_changes: Sequence[PromiseChange] = (),
) -> dict[str, Any]:
    """Give every field of a job; those that do not apply are null."""
    unfinished = job.state not in FINISHED
    progress, eta, normal = job.progress, standing.eta if unfinished else None, standing.normal
    return {
        "id": job.id,
        "kind": job.kind,
        "reference": job.reference,
        "customer": customer,
        "state": job.state,
        "lane": {"priority": job.priority, "size": job.size},
        "submitted_at": _utc(job.submitted_at),
        "started_at": _utc(job.started_at),
        "finished_at": _utc(job.finished_at),
        "attempt": job.attempt,
        "progress": progress
        and {"done": _plain(progress.done), "total": _plain(progress.total), "unit": progress.unit},
        "position": _position(standing) if unfinished and standing.ahead is not None else None,
        "parked": {"since": _utc(job.parked_at)} if unfinished and job.parked_at is not None else None,
        "eta": eta
        and {
            "earliest": _utc(eta.earliest),
            "likely": _utc(eta.likely),
            "latest": _utc(eta.latest),
            "confidence": eta.confidence,
            "similar_jobs": eta.similar_jobs,
        },
        "normal": {
            "p50_s": normal.p50_s if normal else None,
            "p90_s": normal.p90_s if normal else None,
            "verdict": normal.verdict if normal else "unknown",
            "similar_jobs": normal.similar_jobs if normal else 0,
        },
        "promise": _promise(job, promise_status(job, standing, now), promise_changes),
        "cause": _cause(standing.cause, now) if unfinished else None,
        "incident": _incident(standing.incident) if unfinished else None,
        "artifacts": [_artifact(job.id, artifact) for artifact in artifacts],
        "result": job.result,
        "error": job.error,
    }


def _position(standing: Standing) -> dict[str, Any]:
    return {"ahead": standing.ahead, "at_least": standing.at_least, "at_most": standing.at_most}


def _promise(job: Job, status: PromiseStatus, changes: Sequence[PromiseChange]) -> dict[str, Any]:
    """Show a promise with what was told of it; the end of its job, which was told as that, is the last of it."""
    history = [_change(change) for change in changes]
    if job.finished_at is not None and (not changes or changes[-1].news.value != status.value):
        history.append(_change_at_the_end(job, status))
    moved = [change.moved_from for change in changes if change.moved_from is not None]
    return {
        "due": _utc(job.promise_due),
        "status": status,
        "moved_from": _utc(moved[-1]) if moved else None,
        "history": history,
    }


def _change(change: PromiseChange) -> dict[str, Any]:
    expected = {"likely": _utc(change.likely), "latest": _utc(change.latest)} if change.latest else None
    return {
        "at": _utc(change.at),
        "news": change.news,
        "due": _utc(change.due),
        "moved_from": _utc(change.moved_from),
        "expected": expected,
        "reason": change.reason and {"code": change.reason.code, "message": change.reason.message},
        "by": change.by,
        "told_at": _utc(change.told_at),
    }


def _change_at_the_end(job: Job, status: PromiseStatus) -> dict[str, Any]:
    nothing = dict.fromkeys(("moved_from", "expected", "reason", "told_at"))
    return {"at": _utc(job.finished_at), "news": status, "due": _utc(job.promise_due), **nothing, "by": "service"}


def _plain(count: float) -> float | int:
    """Write 31 lines as 31, not as 31.0."""
    return int(count) if count == int(count) else count


def _cause(cause: Cause | None, now: datetime) -> dict[str, Any]:
    if cause is None:
        cause = Cause("unexplained", "What this job waits for has not been established yet.", None, now, None, {})
    return {
        "code": cause.code,
        "message": cause.message,
        "since": _utc(cause.since),
        "observed_at": _utc(cause.observed_at),
        "next_update_by": _utc(cause.next_update_by),
        "evidence": cause.evidence,
    }


def _incident(incident: IncidentNotice | None) -> dict[str, Any] | None:
    if incident is None:
        return None
    return {
        "id": incident.id,
        "severity": incident.severity,
        "title": incident.title,
        "since": _utc(incident.since),
        "estimate": _utc(incident.estimate),
        "acknowledged": incident.acknowledged,
    }


def _artifact(job_id: UUID, artifact: Artifact) -> dict[str, Any]:
    return {
        "name": artifact.name,
        "media_type": artifact.media_type,
        "bytes": artifact.bytes,
        "sha256": artifact.sha256,
        "complete": artifact.complete,
        "href": f"/v1/jobs/{job_id}/artifacts/{quote(artifact.name, safe='')}",
    }


def entry_view(entry: TimelineEntry, retell: Retell, language: str) -> dict[str, Any]:
    """Give a row of a timeline; where it says why, in the reader's language."""
    data = {name: value for name, value in entry.data.items() if name not in _FOR_STAFF}
    if data.get("reason"):
        reason = reworded(Reason(**data["reason"]), retell, language)
        data["reason"] = {"code": reason.code, "message": reason.message}
    return {
        "seq": entry.seq,
        "at": _utc(entry.at),
        "event": entry.event,
        "state": entry.state,
        "attempt": entry.attempt,
        "data": data,
    }


def as_accepted(new: NewJob, accepted: Accepted) -> Job:
    """Give the row of a job that was inserted this instant, without reading it back."""
    at = accepted.submitted_at
    if at is None:
        raise ValueError("only a job that was just inserted has its time of submission")
    return Job(
        id=new.id,
        customer_id=new.customer_id,
        kind=new.kind,
        reference=new.reference,
        priority=new.priority,
        size=new.size,
        predicted_s=new.predicted_s,
        state=State.QUEUED,
        revision=1,
        attempt=0,
        failures=0,
        due_at=at,
        order_at=at + new.order_delay,
        released_at=None,
        submitted_at=at,
        started_at=None,
        finished_at=None,
        deadline=new.deadline,
        promise_due=new.promise_due or at + new.promise,
        lease_until=None,
        worker_id=None,
        cancel_requested_at=None,
        progress_done=None,
        progress_total=None,
        progress_unit=None,
        progressed_at=None,
        result=None,
        error=None,
        webhook=new.webhook,
        irrevocable=False,
        key_id=new.key_id,
        estimated_s=new.estimated_s,
        parked_at=None,
        needs=new.needs,
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
