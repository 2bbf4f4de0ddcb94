"""Learning from jobs: each finished one once, whatever crashes; running ones as soon as they outlive their class."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from math import floor
from uuid import UUID

from invoicing.jobs.model import State
from invoicing.jobs.resizing import Resized, not_begun, recall, resize
from invoicing.kit.db import Session
from invoicing.lanes import learned
from invoicing.lanes.learned import Ended, Late, Memory, Of, Place
from invoicing.lanes.model import POLICY, SIZES, Policy
from invoicing.lanes.model.cutoffs import added, moved, wanted
from invoicing.lanes.model.sizes import Seen, deviation, factor_at, learn
from invoicing.lanes.policies import policy_for

MOST_AT_ONCE, MOST_LEARNED, MOST_OF_EACH = 20_000, 500, 20
"""Finished jobs passed over in one round; those of them that are learned from, some 30 ms of CPU; of these, how many of
one kind and customer. So learning takes its few percent of a core and no more, whatever the throughput."""

_MOST_LATE = 1_000
"""Unfinished jobs that are kept in mind; beyond, they count once they end."""

_MOST_WAITING = 2_000
"""A customer's oldest unfinished jobs that are looked at when one of it turns out late: those that start next."""

_LOCKED_S = (0.0, 0.01, 0.03, 0.05, 0.08)
"""Before each look at what waits: some of it may be locked, because it is being released just now."""

_MOVE_EVERY_S = 60.0
"""Cut-offs move in steps of a minute: each step is a new policy for everybody."""

_STEP = 0.5
"""What a running job took is noted in steps of this much (log), not at every look at it."""


_IN_VAIN = frozenset({State.DEAD, State.CANCELLED})


@dataclass(frozen=True)
class Lesson:
    """What one round of learning did."""

    jobs: int = 0
    """Finished jobs that were passed over."""
    learned: int = 0
    """Those of them that were looked at."""
    late: int = 0
    """Unfinished jobs that have outlived their class."""
    resized: int = 0
    """Waiting jobs that were moved to a larger class."""
    wrote: bool = False
    more: bool = False
    """Whether more is there to be read at once."""


async def learn_on(session: Session, outgrown: Collection[UUID] = ()) -> Lesson:
    """Learn from what finished since the last time, and from what runs too long; commit with the place reached.

    `outgrown` are jobs that were just moved to a larger class: some of them may have given way since.

    Whoever comes while another learns does nothing. With nothing new nothing is written.
    """
    if not await learned.alone(session):
        return Lesson()
    before, now = await learned.horizon(session)
    known = await learned.memory(session)
    passed = await learned.finished(session, known.place, before, MOST_AT_ONCE, MOST_OF_EACH, MOST_LEARNED)
    ended = passed.ended
    late, given_up = await _late(session, known, passed.place, outgrown)
    lesson = Lesson(passed.count, len(ended), len(late), wrote=bool(ended or given_up or late != known.late))
    if not lesson.wrote:
        return lesson
    await _learn_sizes(session, ended, given_up, now)
    grown = {one.of for new, one in late.items() if new not in known.late}
    resized = await _resize_waiting(session, late, grown)
    if grown:
        await learned.tell(session)
    worked = [(one.worked_s, one.stands_for) for one in ended if one.worked_s is not None]
    load = added(known.load, worked, now.timestamp()) if worked else known.load
    then = _with_cutoffs(replace(known, place=passed.place, load=load, late=late), now.timestamp())
    await learned.remember(session, then)
    if then.cutoffs is not None and then.cutoffs != known.cutoffs:
        await learned.set_cutoffs(session, then.cutoffs)
    return replace(lesson, resized=resized, more=passed.count == MOST_AT_ONCE)


async def _late(
    session: Session, known: Memory, place: Place, outgrown: Collection[UUID]
) -> tuple[dict[UUID, Late], list[Late]]:
    """Tell which jobs are late and not passed yet, and which of those known as late were done in vain.

    One that gave way is late as it waits, and one that has just succeeded until it is passed.
    """
    policy = await policy_for(session)
    running = await learned.overdue(session, policy.cutoffs, outgrown)
    now_late = {one: _as_late(*found) for one, found in running.items()}
    states = await learned.states(session, known.late.keys() - now_late.keys())
    later = {
        one: known.late[one]
        for one, (_, finished_at) in states.items()
        if finished_at is None or (finished_at, one) > (place.finished_at, place.id)
    }
    in_vain = [one for one, (state, _) in states.items() if state in _IN_VAIN]
    given_up = [later.pop(one, known.late[one]) for one in in_vain]
    return dict(islice({**now_late, **later}.items(), _MOST_LATE)), given_up


_AS_LONG_AGAIN = 2.0
"""What is not done yet takes, as far as anybody can tell, as long again as it took so far."""


def _as_late(of: Of, estimated_s: float, worked_s: float) -> Late:
    seen = Seen.of(estimated_s, worked_s * _AS_LONG_AGAIN)
    return Late(of, Seen(seen.x, floor(seen.off / _STEP) * _STEP))


async def _learn_sizes(session: Session, ended: Sequence[Ended], given_up: Sequence[Late], now: datetime) -> None:
    lessons = [
        (one.of, Seen.of(one.estimated_s, one.worked_s), one.finished_at) for one in ended if one.worked_s is not None
    ] + [(late.of, late.seen, now) for late in given_up]
    kinds, customers = await learned.models(session, {of for of, _, _ in lessons})
    for of, seen, at in lessons:
        kinds[of[0]], customers[of] = learn(kinds[of[0]], customers[of], seen, at.timestamp())
    if lessons:
        await learned.keep_models(session, kinds, customers)


async def _resize_waiting(session: Session, late: Mapping[UUID, Late], grown: Collection[Of]) -> int:
    """Move jobs that wait to the class where they belong by what has just shown of their customer's others.

    Only upwards: a customer that lies sends its jobs all at once, and most of them before the first one ran. Those that
    were released already go back too, moved or not: what they were released on has just turned out wrong.
    """
    if not grown:
        return 0
    policy, moved_jobs = await policy_for(session), 0
    kinds, customers = await learned.models(session, grown)
    for of in sorted(grown):
        overdue = [one.seen for one in late.values() if one.of == of]
        line, away = kinds[of[0]].line(), deviation(kinds[of[0]], customers[of], overdue)
        for pause_s in _LOCKED_S:
            await asyncio.sleep(pause_s)
            wanted = await _resized(session, of, policy, partial(factor_at, line, away))
            found = await resize(session, wanted) if wanted else []
            moved_jobs += len(found)
            if len(found) == len(wanted):
                break
        await recall(session, of[1], of[0])
    return moved_jobs


async def _resized(session: Session, of: Of, policy: Policy, factor: Callable[[float], float]) -> list[Resized]:
    """Find the waiting jobs that belong to a larger class, when what their kind estimates is corrected by a factor."""
    resized = []
    for job in await not_begun(session, of[1], of[0], _MOST_WAITING):
        predicted_s = job.estimated_s * factor(job.estimated_s)
        size = policy.cutoffs.classify(predicted_s)
        if SIZES.index(size) > SIZES.index(job.size):
            resized.append(Resized(job.id, size, predicted_s, policy.due_after(job.priority, size)))
    return resized


def _with_cutoffs(known: Memory, now: float) -> Memory:
    """Move the cut-offs by what the time since the last move allows; the first time is where it counts from."""
    present = known.cutoffs or POLICY.cutoffs
    if now - known.moved_at < _MOVE_EVERY_S:
        return known
    found = moved(present, wanted(known.load, POLICY.cutoffs), now - known.moved_at if known.moved_at else 0.0)
    return replace(known, cutoffs=found if known.cutoffs or found != present else None, moved_at=now)
