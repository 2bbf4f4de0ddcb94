"""Every cause in the order in which it is shown, and when the reader hears of it again."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from invoicing.diagnosis.model import ended, held, running, waiting
from invoicing.diagnosis.model.check import Check, Code, Rule, proven
from invoicing.diagnosis.model.facts import Facts
from invoicing.jobs.model import FINISHED, NEWS_WITHIN

RULES: tuple[Rule, ...] = (
    held.in_review,
    held.awaiting_quota,
    waiting.scheduled,
    waiting.dependency_down,
    waiting.retry_backoff,
    waiting.paused,
    held.paused,
    waiting.no_worker,
    waiting.no_capable_worker,
    waiting.all_loops_blocked,
    waiting.undelivered,
    waiting.customer_limit,
    waiting.lane_saturated,
    waiting.starting,
    held.let_go,
    waiting.not_handed_out,
    running.worker_lost,
    running.loop_blocked,
    running.cancel_pending,
    running.no_progress,
    running.slower_than_normal,
    running.running_normally,
    ended.poison,
    ended.rejected,
    ended.bad_input,
    ended.attempts_failed,
    ended.undelivered_result,
)
"""What stops a job altogether stands before what merely slows it, and what must end first before what ends with it."""

_EPOCH = datetime.fromtimestamp(0, UTC)

_UNTIL_A_TIME = frozenset({Code.SCHEDULED, Code.RETRY_BACKOFF, Code.PAUSED})

_TOLD_MEANWHILE = frozenset({Code.IN_REVIEW, Code.AWAITING_QUOTA})
"""Causes that may end at any moment before the time at which they should: people decide, and change quotas."""

NEWS_EVERY: Mapping[Code, timedelta] = MappingProxyType(
    {
        Code.SCHEDULED: timedelta(minutes=1),
        Code.DEPENDENCY_DOWN: timedelta(minutes=1),
        Code.RETRY_BACKOFF: timedelta(minutes=1),
        Code.PAUSED: timedelta(minutes=15),
        Code.IN_REVIEW: timedelta(hours=1),
        Code.AWAITING_QUOTA: timedelta(hours=1),
        Code.NO_WORKER: timedelta(minutes=1),
        Code.NO_CAPABLE_WORKER: timedelta(minutes=5),
        Code.CUSTOMER_LIMIT: timedelta(minutes=1),
        Code.LANE_SATURATED: timedelta(minutes=1),
        Code.UNDELIVERED: timedelta(seconds=30),
        Code.STARTING: timedelta(seconds=5),
        Code.WORKER_LOST: timedelta(seconds=15),
        Code.LOOP_BLOCKED: timedelta(minutes=1),
        Code.CANCEL_PENDING: timedelta(seconds=15),
        Code.NO_PROGRESS: timedelta(minutes=1),
        Code.SLOWER_THAN_NORMAL: timedelta(minutes=5),
        Code.RUNNING_NORMALLY: timedelta(minutes=5),
        Code.UNEXPLAINED: timedelta(minutes=1),
    }
)
"""How often a cause that goes on is told again at first, where it has no end; a job that is over has none."""

_RARER_AFTER = 8
"""Beats after which, and of which then each is twice as long: whoever has waited for long is told as often as makes a
difference, and a wait costs few updates more when it lasts twice as long."""

_RAREST = timedelta(hours=1)


def examine(facts: Facts) -> tuple[Check, ...]:
    """Ask every rule."""
    return tuple(rule(facts) for rule in RULES)


def shown(facts: Facts, checks: Sequence[Check]) -> Check | None:
    """Choose the one cause that is shown: the first proven, `unexplained` without any, none for a finished job.

    Of causes that each end at a known time, the one that ends last is what the job waits for.
    """
    if facts.job.state in FINISHED:
        return None
    holding = [check for check in checks if check.holds]
    timed = [check for check in holding if check.code in _UNTIL_A_TIME and check.until]
    if timed and holding[0].code in _UNTIL_A_TIME:
        return max(timed, key=lambda check: check.until or facts.now)
    return holding[0] if holding else unexplained(facts)


def foremost(facts: Facts, checks: Sequence[Check]) -> Check | None:
    """Give the cause that is shown or, of a finished job, the first that holds: why it died, or was not told."""
    found = shown(facts, checks)
    return found or next((check for check in checks if check.holds), None)


def unexplained(facts: Facts) -> Check:
    """Say that no cause is proven, with what was looked at."""
    evidence = {
        "state": facts.job.state,
        "workers": len(facts.serving),
        "free_slots": facts.free,
        "released": facts.job.released_at is not None,
    }
    since = facts.waiting_since if facts.waiting else facts.attempt_began
    return proven(Code.UNEXPLAINED, facts, since, evidence=evidence)


def next_news(check: Check) -> datetime | None:
    """Promise by when the reader hears of it again; None where nothing more comes by itself.

    That is soon after the end of the cause if it has one, else soon after the next beat of its rhythm; the earlier of
    both where people may end it before. Beats are
    counted from the cause's beginning (where that is not known, by the clock), so that asking again does not put them
    off.
    """
    if check.code not in NEWS_EVERY:
        return None
    now, every = check.observed_at, NEWS_EVERY[check.code]
    end = check.until if check.until is not None and check.until > now else None
    if end is not None and check.code not in _TOLD_MEANWHILE:
        return end + NEWS_WITHIN
    start = check.since or now - (now - _EPOCH) % every
    beat = start + _beat(max(now - start, timedelta(0)), every)
    return min(beat, end or beat) + NEWS_WITHIN


def _beat(elapsed: timedelta, every: timedelta) -> timedelta:
    """Give the first beat behind a time; where beats become rarer one of either rhythm falls, so that none is lost."""
    step = every
    while elapsed >= _RARER_AFTER * step and 2 * step <= _RAREST:
        step *= 2
    return step * (elapsed // step + 1)
