"""The wait ledger: every millisecond of a job's life is booked on one cause, and together they are its whole life.

What holds a job by itself is read from its life; what holds a whole lane, or a customer's jobs, from the conditions
that were kept when they changed. Where several hold, the one that stands first among the rules is booked; while the job
itself is paused, that. What nothing proves is booked as `unexplained`: never on the likeliest cause.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.facts import SETTLED_FOR
from invoicing.diagnosis.model.life import Entry, Life, Stage, Try, length_ms, stages, to_ms
from invoicing.diagnosis.model.running import QUIET_S
from invoicing.jobs.model import FINISHED, WAITING, Event, State
from invoicing.jobs.model.losses import POISON

EVERYWHERE = "*"
"""The scope of what concerns every job."""

_GAPS, _PREDICTIONS = 5.0, 3.0
"""As in `running.patience`; what was learned of similar jobs since would make an account change with time."""

_ENDS_A_PAUSE = frozenset({Event.PAUSED, Event.RESUMED})

_RANK: Mapping[Code, int] = {code: place for place, code in enumerate(Code)}


@dataclass(frozen=True)
class Condition:
    """Something that held a whole scope (a lane, a customer, everything) for a time; `until` None: it still does."""

    cause: Code
    scope: str
    since: datetime
    until: datetime | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    spares: frozenset[str] = frozenset()
    """Kinds of jobs that it does not concern."""


@dataclass(frozen=True)
class Part:
    """A stretch of a life with the one cause that it is booked on."""

    cause: Code
    since: datetime
    until: datetime
    lane: str | None
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ms(self) -> int:
        """How long it is (milliseconds)."""
        return length_ms(self.since, self.until)


@dataclass(frozen=True)
class Window:
    """A stretch for which conditions of a scope matter."""

    scope: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class _Claim:
    """A cause that holds for a stretch, whatever else does."""

    cause: Code
    since: datetime
    until: datetime
    evidence: Mapping[str, Any] = field(default_factory=dict)


Gap = tuple[datetime, datetime]


def customer_scope(customer_id: UUID) -> str:
    """Name the scope of one customer's jobs."""
    return f"customer:{customer_id}"


def dependency_scope(name: str) -> str:
    """Name the scope of what jobs need from outside."""
    return f"dependency:{name}"


def windows(life: Life, now: datetime) -> tuple[Window, ...]:
    """Name the conditions that an account needs, while it waited: of its lanes, customer, needs, and of everything."""
    waited = [stage for stage in stages(life, now) if stage.state in WAITING and stage.since < stage.until]
    found: dict[str, Window] = {}
    for stage in waited:
        for scope in _scopes(stage, life):
            if scope is not None:
                begun = found.get(scope)
                found[scope] = Window(scope, begun.since if begun else stage.since, stage.until)
    return tuple(found.values())


def account(
    life: Life, conditions: Iterable[Condition], now: datetime, silent_since: datetime | None = None
) -> tuple[Part, ...]:
    """Book a life from its submission to its end, or until now: parts in order, without a gap or an overlap.

    `silent_since`: since when nothing was heard of the worker that has the job now.
    """
    known = tuple(conditions)
    parts: list[Part] = []
    found = stages(life, now)
    for stage in found:
        if stage.state in WAITING:
            booked = _waited(stage, life, known, now)
        elif stage.state is State.RUNNING:
            lives = life.ended_at is None and stage is found[-1]
            booked = _ran(stage, life, silent_since if lives else None)
        else:
            booked = _booked(stage, [_rested(stage, life)])
        for part in booked:
            _append(parts, part)
    return tuple(parts)


def totals(parts: Iterable[Part]) -> dict[Code, int]:
    """Add up an account by cause (milliseconds), the longest first."""
    found: dict[Code, int] = {}
    for part in parts:
        found[part.cause] = found.get(part.cause, 0) + part.ms
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _append(parts: list[Part], part: Part) -> None:
    """Put a part behind the others; what goes on alike is one part."""
    last = parts[-1] if parts else None
    if last is not None and (last.cause, last.lane, last.evidence) == (part.cause, part.lane, part.evidence):
        parts[-1] = Part(last.cause, last.since, part.until, last.lane, last.evidence)
    elif part.since < part.until:
        parts.append(part)


def _waited(stage: Stage, life: Life, known: Sequence[Condition], now: datetime) -> list[Part]:
    scopes = _scopes(stage, life)
    claims = [*_own(stage, life), *_quotas(life, now)]
    claims += [
        _Claim(one.cause, one.since, one.until or now, _with_kind(one, life.kind))
        for one in known
        if one.scope in scopes and life.kind not in one.spares
    ]
    return _booked(stage, claims, stopped=[*_pauses(life, now)], handed_over=True)


def _scopes(stage: Stage, life: Life) -> list[str | None]:
    needed = map(dependency_scope, life.needs.split())
    return [stage.lane, customer_scope(life.customer_id), *needed, EVERYWHERE]


def _with_kind(condition: Condition, kind: str) -> Mapping[str, Any]:
    return {"kind": kind, **condition.evidence} if condition.cause is Code.NO_CAPABLE_WORKER else condition.evidence


def _own(stage: Stage, life: Life) -> Iterator[_Claim]:
    """Find what holds this job alone while it waits: it is due later."""
    entry = stage.entry
    later = any(one.event is Event.RESUMED for one in life.entries)  # then it is due since it went on
    scheduled = entry.event is Event.ACCEPTED and entry.state in WAITING and "quota" not in entry.data and not later
    if scheduled and life.due_at > life.submitted_at and not life.tries:
        yield _Claim(Code.SCHEDULED, stage.since, life.due_at, {"due_at": life.due_at})
    if entry.state is State.RETRYING and "due_in_s" in entry.data:
        due = entry.at + timedelta(seconds=entry.data["due_in_s"])
        yield _Claim(Code.RETRY_BACKOFF, stage.since, due, {"attempt": entry.attempt, "next_attempt_at": due})


def _quotas(life: Life, now: datetime) -> Iterator[_Claim]:
    """Find when it waited for a place of its customer's quota: from where that is told until it went, or ended."""
    for place, entry in enumerate(life.entries):
        if entry.event in {Event.ACCEPTED, Event.RELEASED} and "quota" in entry.data:
            went = (one.at for one in life.entries[place + 1 :] if _went(one))
            yield _Claim(Code.AWAITING_QUOTA, entry.at, next(went, life.ended_at or now), entry.data["quota"])


def _pauses(life: Life, now: datetime) -> Iterator[_Claim]:
    """Find when our staff had paused it: from each row that says so until the next, or until it went on, or ended."""
    for place, entry in enumerate(life.entries):
        if entry.event is Event.PAUSED:
            ends = (one.at for one in life.entries[place + 1 :] if one.event in _ENDS_A_PAUSE or one.state in FINISHED)
            told = {"scope": "job", "by": entry.data.get("by"), "reason": entry.data.get("message")}
            evidence = {**told, "until": entry.data.get("until")}
            yield _Claim(Code.PAUSED, entry.at, next(ends, life.ended_at or now), evidence)


def _went(entry: Entry) -> bool:
    return entry.event is Event.ADMITTED or entry.state is not State.QUEUED


def _ran(stage: Stage, life: Life, silent_since: datetime | None) -> list[Part]:
    """Book an attempt: its work, and what kept it from working."""
    number = stage.entry.attempt
    attempt = life.tries.get(number) or Try(number, stage.since)
    entries = [entry for entry in life.entries if entry.attempt == number]
    lost_since = _lost_since(attempt, entries) or silent_since
    claims = [
        _Claim(Code.RUNNING_NORMALLY, stage.since, stage.until, {"attempt": number}),
        _Claim(Code.STARTING, stage.since, attempt.began, {"attempt": number}),
        *_silences(attempt, entries, life.predicted_s, stage.until),
    ]
    claims += [
        _Claim(Code.CANCEL_PENDING, entry.at, stage.until) for entry in entries if entry.event is Event.CANCEL_REQUESTED
    ]
    if lost_since is not None:
        claims.append(_Claim(Code.WORKER_LOST, lost_since, stage.until, {"attempt": number}))
    return _booked(stage, claims)


def _lost_since(attempt: Try, entries: Sequence[Entry]) -> datetime | None:
    """Tell since when a worker that was lost was silent: after what was heard of it, or of its work, last."""
    if not attempt.lost:
        return None
    signs = [entry.at for entry in entries if entry.event is Event.PROGRESSED]
    return max([attempt.began, *signs, *([attempt.heard_at] if attempt.heard_at else [])])


def _silences(attempt: Try, entries: Sequence[Entry], predicted_s: float, now: datetime) -> Iterator[_Claim]:
    """Find where the work gave no sign for longer than its bound."""
    for entry in entries:
        if entry.event not in {Event.STARTED, Event.PROGRESSED}:
            continue
        since, until = max(entry.at, attempt.began), entry.next_sign_at or now
        if (until - since).total_seconds() > silence_bound_s(attempt.began, entry, predicted_s):
            yield _Claim(Code.NO_PROGRESS, since, until, {"last_sign_at": since})


def silence_bound_s(began: datetime, sign: Entry, predicted_s: float) -> float:
    """Bound the silence after a sign of an attempt: several of its own gaps or, at first, of its predicted time."""
    if not sign.reports:
        return max(QUIET_S, _PREDICTIONS * predicted_s)
    return max(QUIET_S, _GAPS * (sign.at - began).total_seconds() / sign.reports)


def _rested(stage: Stage, life: Life) -> _Claim:
    """Book the time between a job's death and our staff having it tried again; or a review."""
    entry = stage.entry
    if stage.state not in FINISHED:
        return _Claim(Code.IN_REVIEW, stage.since, stage.until, entry.data.get("review", {}))
    attempt = life.tries.get(entry.attempt)
    code = attempt.error_code if attempt else None
    refused = Code.BAD_INPUT if code == Code.BAD_INPUT else Code.ATTEMPTS_FAILED
    return _Claim(
        Code.POISON if entry.data.get("why") == POISON else refused,
        stage.since,
        stage.until,
        {"attempt": entry.attempt},
    )


def _booked(
    stage: Stage, claims: Iterable[_Claim], *, stopped: Sequence[_Claim] = (), handed_over: bool = False
) -> list[Part]:
    """Give each moment of a stage to the claim whose cause stands first; hand what is left over, for so long, too.

    While the job itself was stopped nothing else held it: it was out of the dispatcher's sight.
    """
    by_rank: dict[int, list[_Claim]] = {}
    for claim in claims:
        by_rank.setdefault(_RANK[claim.cause], []).append(claim)
    unproven = by_rank.pop(_RANK[Code.UNEXPLAINED], [])
    taken: list[Part] = []
    gaps = _carved(stage, [(stage.since, stage.until)], stopped, taken)
    for rank in sorted(by_rank):
        gaps = _carved(stage, gaps, by_rank[rank], taken)
    if handed_over:
        gaps = _carved(stage, gaps, [_hand_over(stage, since) for since, _ in gaps], taken)
    gaps = _carved(stage, gaps, unproven, taken)
    taken += [Part(Code.UNEXPLAINED, since, until, stage.lane) for since, until in gaps]
    return sorted(taken, key=lambda part: part.since)


def _hand_over(stage: Stage, since: datetime) -> _Claim:
    """Allow for what is under way between ledger, runway and worker; one that gave way has others in front of it."""
    if stage.entry.event is Event.PARKED and since == stage.since:
        return _Claim(Code.LANE_SATURATED, since, since + SETTLED_FOR, {"parked_at": to_ms(stage.entry.at)})
    return _Claim(Code.STARTING, since, since + SETTLED_FOR)


def _carved(stage: Stage, gaps: Sequence[Gap], claims: Sequence[_Claim], taken: list[Part]) -> list[Gap]:
    """Take what claims of one cause cover out of gaps; both are in order, and what is left is too."""
    ordered = sorted(claims, key=lambda claim: claim.since)
    left: list[Gap] = []
    first = 0
    for since, until in gaps:
        while first < len(ordered) and ordered[first].until <= since:
            first += 1
        at = since
        for claim in ordered[first:]:
            if claim.since >= until:
                break
            begin, end = max(at, to_ms(claim.since)), min(until, to_ms(claim.until))
            if begin < end:
                left += [(at, begin)] if at < begin else []
                taken.append(Part(claim.cause, begin, end, stage.lane, claim.evidence))
                at = end
        left += [(at, until)] if at < until else []
    return left
