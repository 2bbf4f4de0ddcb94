"""Keeping finished jobs as long as their kinds say, and removing them then: in small steps, any number at a time."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs.kinds import JobKind, Kinds
from invoicing.jobs.model.keeping import KEYS_KEPT, MESSAGES_KEPT, Keep, KeepError, Period, agreed, changes
from invoicing.jobs.store import prune
from invoicing.jobs.store.prune import Ended, Place
from invoicing.kit.db import Session, transaction
from invoicing.outbox import retention as outbox

BATCH = 200
"""Jobs of a step: tens of milliseconds, in which nobody waits for their locks."""
MOST_PARTS = 2_000
"""Parts of files of a step, at most a megabyte each; a job that has more goes alone."""
KEYS_AT_ONCE = 1_000
MESSAGES_AT_ONCE = 500
MOST_COUNTED = 100_000
"""Where a count ends: what is due is told, not how much more than a lot."""


@dataclass(frozen=True)
class Rule:
    """How long jobs of a kind are kept that ended in some way."""

    kind: JobKind
    ended: Ended
    period: Period


@dataclass(frozen=True)
class Step:
    """What a step removed, how many jobs the kind held back, and where to go on; None at the end."""

    removed: int
    held: int
    after: Place | None


def rules(kinds: Kinds, setting: str = "") -> Sequence[Rule]:
    """Settle how long everything is kept; raises `KeepError` where a setting is too short or names no kind."""
    changed = changes(setting)
    unknown = sorted(set(changed) - set(kinds))
    if unknown:
        raise KeepError(f"no kind is called {', '.join(unknown)}; there are {', '.join(sorted(kinds))}")
    found = []
    for name, kind in sorted(kinds.items()):
        keep: Keep = agreed(name, kind.keep, kind.keep_at_least, changed.get(name))
        found += [Rule(kind, Ended.SUCCEEDED, keep.succeeded), Rule(kind, Ended.UNSUCCESSFUL, keep.unsuccessful)]
    return found


async def step(session: Session, rule: Rule, after: Place | None, batch: int = BATCH) -> Step:
    """Remove the first jobs behind a place that a rule does not keep any longer."""
    before = rule.period.over_before(await prune.clock(session))
    due = await prune.take_due(session, rule.kind.name, rule.ended, before, after, batch, MOST_PARTS)
    chosen = due[: _bounded([one.parts for one in due])]
    if not chosen:
        return Step(0, 0, None)
    ids = [one.place.job_id for one in chosen]
    held = set(await rule.kind.let_go(session, ids))
    removed = await prune.remove(session, [job_id for job_id in ids if job_id not in held])
    return Step(removed, len(held), chosen[-1].place)


def _bounded(parts: Sequence[int]) -> int:
    """Tell how many jobs, at least one, together have no more parts of files than a step may remove."""
    total = 0
    for place, count in enumerate(parts):
        total += count
        if total > MOST_PARTS and place:
            return place
    return len(parts)


async def forget_keys(session: Session) -> int:
    """Forget idempotency keys that are older than the contract says; gives how many."""
    return await prune.remove_keys(session, KEYS_KEPT.over_before(await prune.clock(session)), KEYS_AT_ONCE)


async def sweep(engine: AsyncEngine, rule: Rule, batch: int = BATCH) -> AsyncIterator[Step]:
    """Remove all that a rule does not keep any longer, each step in a transaction of its own."""
    after: Place | None = None
    while True:
        async with transaction(engine) as session:
            done = await step(session, rule, after, batch)
        if done.after is None:
            return
        yield done
        after = done.after


async def sweep_keys(engine: AsyncEngine) -> AsyncIterator[int]:
    """Forget all idempotency keys that are too old, in the same way."""
    while True:
        async with transaction(engine) as session:
            forgotten = await forget_keys(session)
        if not forgotten:
            return
        yield forgotten


async def sweep_messages(engine: AsyncEngine) -> AsyncIterator[int]:
    """Remove all messages that were done long enough ago, in the same way."""
    while True:
        async with transaction(engine) as session:
            before = MESSAGES_KEPT.over_before(await prune.clock(session))
            removed = await outbox.remove(session, before, MESSAGES_AT_ONCE)
        if not removed:
            return
        yield removed


async def due(session: Session, rule: Rule) -> tuple[datetime, int]:
    """Tell before when jobs ended that a rule does not keep any longer, and how many there are (`MOST_COUNTED`)."""
    before = rule.period.over_before(await prune.clock(session))
    return before, await prune.count_due(session, rule.kind.name, rule.ended, before, MOST_COUNTED)


async def due_keys(session: Session) -> tuple[datetime, int]:
    """Tell the same of idempotency keys."""
    before = KEYS_KEPT.over_before(await prune.clock(session))
    return before, await prune.count_keys(session, before, MOST_COUNTED)


async def due_messages(session: Session) -> tuple[datetime, int]:
    """Tell the same of messages that were done."""
    before = MESSAGES_KEPT.over_before(await prune.clock(session))
    return before, await outbox.count(session, before, MOST_COUNTED)


async def unruled(session: Session, kinds: Kinds) -> list[str]:
    """List kinds of which there are finished jobs and that nobody offers any more: these jobs are kept."""
    return [kind for kind in await prune.kinds(session) if kind not in kinds]


__all__ = [
    "BATCH",
    "KEYS_AT_ONCE",
    "KEYS_KEPT",
    "MESSAGES_KEPT",
    "MOST_COUNTED",
    "Ended",
    "KeepError",
    "Place",
    "Rule",
    "Step",
    "due",
    "due_keys",
    "due_messages",
    "forget_keys",
    "rules",
    "step",
    "sweep",
    "sweep_keys",
    "sweep_messages",
    "unruled",
]
