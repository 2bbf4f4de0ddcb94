"""Causes of a job that has started: is its worker there, does it move, and does it take longer than such jobs do."""

from datetime import timedelta
from typing import Any

from invoicing.diagnosis.model.check import Check, Code, disproven, proven, unknown
from invoicing.diagnosis.model.durations import Prediction
from invoicing.diagnosis.model.facts import SETTLED_FOR, Facts
from invoicing.jobs.model import State

SLOW_BEYOND = 0.99
"""A job is slow beyond the seconds within which 99 of 100 like it end: one false alarm in a hundred is the target."""

QUIET_S = 60.0
"""Checkpoints lie about a second of work apart, so a minute without one is out of the ordinary for every kind."""

MISSED_GAPS, MISSED_PREDICTIONS = 5.0, 3.0
"""So many of its own gaps between reports, or of its predicted durations before the first, may an attempt be silent."""


def worker_lost(facts: Facts) -> Check:
    """Prove that the lease is over, or that the worker's heartbeat has stopped and the lease is about to end."""
    if not _running(facts):
        return disproven(Code.WORKER_LOST, facts)
    lease, worker = facts.job.lease_until, facts.worker
    lease_over = lease is not None and lease <= facts.now
    silent = worker is None or not worker.alive
    if not lease_over and not silent:
        return disproven(Code.WORKER_LOST, facts)
    since = max(worker.beat_at, facts.attempt_began) if worker and silent else lease
    return proven(
        Code.WORKER_LOST,
        facts,
        since,
        until=lease,
        wording="over" if lease is not None and facts.now - lease > SETTLED_FOR else "plain",
        evidence={"lease_until": lease, "lease_over": lease_over, "heartbeat_stopped": silent},
    )


def loop_blocked(facts: Facts) -> Check:
    """Prove that the worker's thread beats and its event loop does not."""
    if not _running(facts):
        return disproven(Code.LOOP_BLOCKED, facts)
    worker = facts.worker
    if worker is None or not worker.alive:
        return unknown(Code.LOOP_BLOCKED, facts)
    if facts.now - worker.loop_beat_at <= worker.alive_for:
        return disproven(Code.LOOP_BLOCKED, facts)
    evidence = {"last_loop_beat_at": worker.loop_beat_at, "last_beat_at": worker.beat_at}
    since = max(worker.loop_beat_at, facts.attempt_began)
    return proven(Code.LOOP_BLOCKED, facts, since, wording="running", evidence=evidence)


def cancel_pending(facts: Facts) -> Check:
    """Prove that the job was cancelled while it runs; it stops at a checkpoint or is killed after its grace time."""
    requested = facts.job.cancel_requested_at
    if not _running(facts) or requested is None:
        return disproven(Code.CANCEL_PENDING, facts)
    return proven(Code.CANCEL_PENDING, facts, requested, evidence={"requested_at": requested})


def no_progress(facts: Facts) -> Check:
    """Prove that the worker lives and the job has shown no sign of moving for longer than its bound."""
    if not _running(facts):
        return disproven(Code.NO_PROGRESS, facts)
    silence, bound = facts.now - facts.last_sign, patience(facts)
    if silence <= bound:
        return disproven(Code.NO_PROGRESS, facts)
    evidence = {
        "last_sign_at": facts.last_sign,
        "silent_s": round(silence.total_seconds(), 1),
        "bound_s": round(bound.total_seconds(), 1),
        **_progress(facts),
    }
    return proven(Code.NO_PROGRESS, facts, facts.last_sign, evidence=evidence)


def patience(facts: Facts) -> timedelta:
    """Bound an attempt's silence: several of its own gaps or, before its first checkpoint, of its duration."""
    job, gap_s = facts.job, None
    if job.progressed_at is not None and job.progressed_at >= facts.attempt_began:
        # every checkpoint is a revision; two revisions of each attempt, the first one and updates are not
        reports = max(1, job.revision - 2 * job.attempt - 1 - job.updates)
        gap_s = (job.progressed_at - facts.attempt_began).total_seconds() / reports
    return timedelta(seconds=patience_s(gap_s, job.predicted_s, facts.prediction))


def patience_s(gap_s: float | None, predicted_s: float, prediction: Prediction | None) -> float:
    """Bound an attempt's silence (seconds), given the gaps between its reports, None before the first."""
    if gap_s is not None:
        return max(QUIET_S, MISSED_GAPS * gap_s)
    longest = prediction.quantile(SLOW_BEYOND) if prediction else 0.0
    return min(max(QUIET_S, MISSED_PREDICTIONS * predicted_s, longest), 10.0**9)


def slower_than_normal(facts: Facts) -> Check:
    """Prove that it has been worked on for longer than 99 of 100 jobs like it."""
    if not _running(facts):
        return disproven(Code.SLOWER_THAN_NORMAL, facts)
    if facts.prediction is None:
        return unknown(Code.SLOWER_THAN_NORMAL, facts)
    over_s = facts.worked_s - facts.prediction.quantile(SLOW_BEYOND)
    if over_s <= 0:
        return disproven(Code.SLOWER_THAN_NORMAL, facts)
    since = max(facts.attempt_began, facts.now - timedelta(seconds=over_s))
    evidence = {**_against_normal(facts), **_progress(facts)}
    return proven(Code.SLOWER_THAN_NORMAL, facts, since, evidence=evidence)


def running_normally(facts: Facts) -> Check:
    """Prove that the worker lives and the job moves, while nothing shows that it takes longer than others."""
    spoilt_by = (worker_lost, loop_blocked, no_progress, slower_than_normal)
    if not _running(facts) or any(rule(facts).holds for rule in spoilt_by):
        return disproven(Code.RUNNING_NORMALLY, facts)
    progress = _progress(facts)
    known = "known" if facts.prediction else "unknown"
    return proven(
        Code.RUNNING_NORMALLY,
        facts,
        facts.attempt_began,
        wording=f"{known}_with_progress" if progress else known,
        evidence={**_against_normal(facts), **progress},
    )


def _running(facts: Facts) -> bool:
    return facts.job.state is State.RUNNING


def _against_normal(facts: Facts) -> dict[str, Any]:
    against: dict[str, Any] = {"worked_s": round(facts.worked_s, 1), "similar_jobs": facts.similar}
    if facts.prediction:
        against["normal_up_to_s"] = round(facts.prediction.quantile(SLOW_BEYOND), 1)
        against["normal_as_of"] = facts.history.observed_at
    return against


def _progress(facts: Facts) -> dict[str, Any]:
    progress = facts.job.progress
    if progress is None:
        return {}
    return {"done": progress.done, "total": progress.total, "unit": progress.unit, "at": facts.job.progressed_at}
