"""Causes of a job that has not started: each rule proves its own, from the facts about job, lane and workers."""

from itertools import chain
from typing import Any

from invoicing.customers.model import CustomerPause
from invoicing.diagnosis.model.check import Check, Code, disproven, proven, unknown
from invoicing.diagnosis.model.facts import SETTLED_FOR, UNSEEN_FOR, Facts
from invoicing.jobs.model import State
from invoicing.jobs.model.losses import WORKER_LOST
from invoicing.lanes.model import at_limit

_MOST_NAMED = 20
"""Jobs that evidence names one by one."""


def scheduled(facts: Facts) -> Check:
    """Prove that the job is due later, and that not because it failed."""
    if not facts.waiting or facts.due or facts.job.state is State.RETRYING:
        return disproven(Code.SCHEDULED, facts)
    due = facts.job.due_at
    return proven(Code.SCHEDULED, facts, facts.job.submitted_at, until=due, evidence={"due_at": due})


def dependency_down(facts: Facts) -> Check:
    """Prove that something outside is down that the job needs: it is held back, and loses no attempt meanwhile.

    One that was released goes to find out, or was on its way before.
    """
    breaker, job = facts.down, facts.job
    kept = facts.due or (job.state is State.RETRYING and not job.held)
    if not kept or breaker is None or breaker.opened_at is None or job.released_at is not None:
        return disproven(Code.DEPENDENCY_DOWN, facts)
    ended = facts.attempt.ended_at if facts.attempt else None
    evidence = {
        "dependency": breaker.title,
        "down_since": breaker.opened_at,
        "error": breaker.error,
        "tries": breaker.tries,
        "next_try_at": breaker.next_try_at,
    }
    wording = "trying" if breaker.trying else "plain"
    since = max(breaker.opened_at, ended or job.submitted_at)
    return proven(Code.DEPENDENCY_DOWN, facts, since, wording=wording, evidence=evidence)


def retry_backoff(facts: Facts) -> Check:
    """Prove that an attempt failed, or lost its worker, and the next one is due later."""
    job = facts.job
    if job.state is not State.RETRYING or job.due_at <= facts.now:
        return disproven(Code.RETRY_BACKOFF, facts)
    error = job.error or {}
    evidence = {
        "failures": job.failures,
        "max_attempts": facts.max_attempts,
        "next_attempt_at": job.due_at,
        "error": {"code": error.get("code", "unknown"), "message": error.get("message") or "no message"},
    }
    failed_at = facts.attempt.ended_at if facts.attempt else None
    most = facts.max_attempts
    wording = "plain" if most is None or job.failures >= most else "counted"  # beyond: what was begun must be ended
    if error.get("code") == WORKER_LOST:
        wording = "worker_lost"
    return proven(Code.RETRY_BACKOFF, facts, failed_at, until=job.due_at, wording=wording, evidence=evidence)


def paused(facts: Facts) -> Check:
    """Prove that the lane releases nothing, perhaps for maintenance, or that nothing of the customer is started.

    Of both the one that ends last. Who paused is told by role alone.
    """
    pause = facts.longest_pause
    if not facts.waiting or pause is None:
        return disproven(Code.PAUSED, facts)
    since = max(pause.since, facts.job.submitted_at)
    evidence: dict[str, Any] = {"scope": "lane", "by": "operations", "reason": pause.reason, "until": pause.until}
    if isinstance(pause, CustomerPause):
        evidence["scope"] = "customer"
        return proven(Code.PAUSED, facts, since, until=pause.until, wording="customer", evidence=evidence)
    if pause.maintenance_id is None:
        return proven(Code.PAUSED, facts, since, until=pause.until, evidence=evidence)
    evidence["maintenance"] = pause.maintenance_id
    return proven(Code.PAUSED, facts, since, until=pause.until, wording="maintenance", evidence=evidence)


def no_worker(facts: Facts) -> Check:
    """Prove that no live worker takes jobs of this lane."""
    if not facts.due or facts.serving:
        return disproven(Code.NO_WORKER, facts)
    since = None if facts.last_beat is None else max(facts.last_beat, facts.waiting_since)
    return proven(Code.NO_WORKER, facts, since, evidence={"workers": 0, "last_seen": facts.last_beat})


def no_capable_worker(facts: Facts) -> Check:
    """Prove that workers are alive in this lane and none of them offers this kind."""
    if not facts.due:
        return disproven(Code.NO_CAPABLE_WORKER, facts)
    if not facts.serving:
        return unknown(Code.NO_CAPABLE_WORKER, facts)
    if _capable(facts):
        return disproven(Code.NO_CAPABLE_WORKER, facts)
    evidence = {"kind": facts.job.kind, "workers": len(facts.serving)}
    return proven(Code.NO_CAPABLE_WORKER, facts, facts.waiting_since, evidence=evidence)


def all_loops_blocked(facts: Facts) -> Check:
    """Prove that every worker of the lane lives and none of them gets to look at its queue."""
    if not facts.due:
        return disproven(Code.LOOP_BLOCKED, facts)
    if not facts.serving:
        return unknown(Code.LOOP_BLOCKED, facts)
    last = max(worker.loop_beat_at for worker in facts.serving)
    if facts.now - last <= max(worker.alive_for for worker in facts.serving):
        return disproven(Code.LOOP_BLOCKED, facts)
    evidence = {"workers": len(facts.serving), "last_loop_beat_at": last}
    return proven(Code.LOOP_BLOCKED, facts, max(last, facts.waiting_since), wording="waiting", evidence=evidence)


def undelivered(facts: Facts) -> Check:
    """Prove that a slot is free while what was released a while ago (this job, or one in front) is unclaimed.

    It counts from when there is a worker that could have claimed it: before that, none was the reason.
    """
    if not facts.due or not _capable(facts) or facts.free == 0:
        return disproven(Code.UNDELIVERED, facts)
    released = facts.job.released_at or facts.oldest_release
    if released is None or facts.now - released < SETTLED_FOR:
        return disproven(Code.UNDELIVERED, facts)
    evidence = {"released_at": released, "free_slots": facts.free, "itself": facts.job.released_at is not None}
    there = min(worker.started_at for worker in facts.serving if facts.job.kind in worker.kinds)
    return proven(Code.UNDELIVERED, facts, max(released, facts.waiting_since, there), evidence=evidence)


def customer_limit(facts: Facts) -> Check:
    """Prove that as many jobs of its customer run, or are about to, as may; the ids are of its own jobs alone."""
    if not facts.due or facts.cap is None or facts.job.released_at is not None:
        return disproven(Code.CUSTOMER_LIMIT, facts)
    running, about_to_start = facts.own_running, facts.own_released
    if not at_limit(facts.cap, len(running) + about_to_start):
        return disproven(Code.CUSTOMER_LIMIT, facts)
    evidence = {
        "limit": facts.cap,
        "running": len(running),
        "about_to_start": about_to_start,
        "jobs": running[:_MOST_NAMED],
    }
    wording = "one" if facts.cap == 1 else "plain"
    return proven(Code.CUSTOMER_LIMIT, facts, facts.waiting_since, wording=wording, evidence=evidence)


def lane_saturated(facts: Facts) -> Check:
    """Prove that all slots this job may use are taken, or that others start first and something does start."""
    if not facts.due or not _capable(facts):
        return disproven(Code.LANE_SATURATED, facts)
    ahead = facts.place.count if facts.place else None
    if facts.free > 0 and not (ahead and _moving(facts)):
        return disproven(Code.LANE_SATURATED, facts)
    at_least = facts.place is not None and facts.place.at_least
    evidence: dict[str, Any] = {
        "ahead": ahead,
        "slots": facts.slots,
        "free_slots": facts.free,
        "running": len(facts.running.get(facts.lane, ())),
    }
    if at_least:
        evidence["ahead_at_least"] = True
    if facts.job.expedited_at is not None:
        evidence["expedited_at"] = facts.job.expedited_at
    wording = "at_least" if at_least else {None: "busy", 0: "full", 1: "one"}.get(ahead, "many")
    since, parked = facts.waiting_since, facts.job.parked_at
    if parked is not None:
        wording, progress = _parked(facts)
        evidence |= {"parked_at": parked, **progress}
        since = parked
    return proven(Code.LANE_SATURATED, facts, since, wording=wording, evidence=evidence)


def _parked(facts: Facts) -> tuple[str, dict[str, Any]]:
    """Choose the words for a job that gave way to other work, with what it has done."""
    progress = facts.job.progress
    if progress is None:
        return "parked", {}
    return "parked_with_progress", {"done": progress.done, "total": progress.total, "unit": progress.unit}


def starting(facts: Facts) -> Check:
    """Prove that a slot is free, a worker can do it, nothing holds it back, and it has only just become ready."""
    if not facts.due or not _capable(facts) or facts.free == 0 or _held_back(facts):
        return disproven(Code.STARTING, facts)
    since = max(facts.waiting_since, facts.job.released_at or facts.waiting_since)
    if facts.now - since >= SETTLED_FOR:
        return disproven(Code.STARTING, facts)
    return proven(Code.STARTING, facts, since, until=since + SETTLED_FOR, evidence={"free_slots": facts.free})


def not_handed_out(facts: Facts) -> Check:
    """Prove that a slot is free while nobody looks at the backlog, so that nothing is handed to a worker."""
    looked_at = facts.dispatched_at
    if not facts.due or not _capable(facts) or facts.free == 0 or facts.job.released_at is not None:
        return disproven(Code.UNDELIVERED, facts)
    if looked_at is None:
        return unknown(Code.UNDELIVERED, facts)
    if facts.now - looked_at < UNSEEN_FOR:
        return disproven(Code.UNDELIVERED, facts)
    evidence = {"looked_at": looked_at, "free_slots": facts.free}
    return proven(Code.UNDELIVERED, facts, max(looked_at, facts.waiting_since), wording="backlog", evidence=evidence)


def _held_back(facts: Facts) -> bool:
    return any(rule(facts).holds for rule in (dependency_down, paused, customer_limit))


def _capable(facts: Facts) -> bool:
    return any(facts.job.kind in worker.kinds for worker in facts.serving)


def _moving(facts: Facts) -> bool:
    """Whether anything was released, or began, moments ago: then those ahead, in whichever lane, get their turn."""
    began = (work.started_at for lane in facts.running.values() for work in lane)
    released = (ticket.released_at for tickets in facts.runways.values() for ticket in tickets)
    return any(facts.now - move < SETTLED_FOR for move in chain(began, released))
