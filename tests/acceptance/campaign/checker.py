"""The checker: one rule for each thing that must never happen, over what was seen from outside."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .observed import FINAL, NOTHING_CAME, Job, Seen
from .state_chart import ends, faults_of
from .told import disordered, told_again, told_otherwise, unsigned, untold

_INVOICE_FILES = {"invoice.ubl.xml", "invoice.cii.xml", "invoice.pdf"}

_DIED = "child_died"
"""The error of an attempt whose process was killed."""

_WAIT_AND_SEE = {409, 429, 503}
"""What may be answered instead of an acceptance while things break: each must say when to come again."""


@dataclass(frozen=True)
class Violation:
    """Something that must never happen, and did."""

    rule: str
    about: str
    what: str


def violations(seen: Seen) -> list[Violation]:
    """Hold what was seen against every rule."""
    return [Violation(name, about, what) for name, rule in RULES.items() for about, what in rule(seen)]


Found = Iterator[tuple[str, str]]


def _lost(seen: Seen) -> Found:
    """Find 202s whose job is not there, and requests that were never accepted."""
    kept = {job.id for job in seen.jobs}
    for request in seen.requests:
        for job_id in request.ids - kept:
            yield job_id, f"was accepted under {request.key} and is not there"
        if not request.ids:
            yield request.key, "was never accepted"


def _doubled(seen: Seen) -> Found:
    """Find keys with more than one job, whatever was answered to them."""
    jobs: dict[tuple[str, str], set[str]] = {}
    for job in seen.jobs:
        for key in job.keys:
            jobs.setdefault((job.customer, key), set()).add(job.id)
    for request in seen.requests:
        named = request.ids | jobs.get((request.customer, request.key), set())
        if len(named) > 1:
            yield request.key, f"made {len(named)} jobs: {', '.join(sorted(named))}"


def _half_accepted(seen: Seen) -> Found:
    """Find jobs without their key or payload, and rows without their job: all of it is there, or nothing."""
    asked = {(request.customer, request.key) for request in seen.requests}
    for job in seen.jobs:
        if len(job.keys) != 1:
            yield job.id, f"has {len(job.keys)} Idempotency-Keys"
        elif (job.customer, job.keys[0]) not in asked:
            yield job.id, f"nobody asked for it: {job.keys[0]}"
        if not job.parts:
            yield job.id, "has no payload"
    for table, rows in seen.loose.items():
        if rows:
            yield table, f"{rows} rows belong to no job"


def _unfinished(seen: Seen) -> Found:
    """Find jobs that did not end, or are told to be what they are not."""
    for job in seen.jobs:
        if job.state not in FINAL:
            yield job.id, f"({job.kind}) is still {job.state}, attempt {job.attempt}: {_trace(job)}"
        if job.shown != job.state:
            yield job.id, f"is {job.state} and told to be {job.shown}"
        if job.leased and job.state in FINAL:
            yield job.id, "is finished and has a lease"
        if open_ := [one.number for one in job.attempts if one.outcome is None or one.ended_at is None]:
            yield job.id, f"has attempts without an end: {open_}"


def _unseen(seen: Seen) -> Found:
    """Find jobs that were not to be found right after their 202."""
    for request in seen.requests:
        if request.unseen:
            yield request.key, f"was not to be found after its 202, {request.unseen} times"


def _illegal(seen: Seen) -> Found:
    """Find timelines that are no path of the chart, are told otherwise, or do not end once and as their job did."""
    for job in seen.jobs:
        for fault in faults_of(job.timeline):
            yield job.id, fault
        if [(entry.seq, entry.event, entry.state) for entry in job.timeline] != list(job.told):
            yield job.id, "its timeline is told otherwise than it is kept"
        if job.timeline and job.timeline[-1].seq > job.revision:
            yield job.id, f"is at revision {job.revision} and has row {job.timeline[-1].seq}"
        if job.timeline and job.timeline[-1].state != job.state:
            yield job.id, f"is {job.state} after a timeline that ends as {job.timeline[-1].state}"
        if job.state in FINAL and ends(job.timeline) != 1:
            yield job.id, f"ended {ends(job.timeline)} times: {_trace(job)}"
        if [one.number for one in job.attempts] != list(range(1, job.attempt + 1)):
            yield job.id, f"is at attempt {job.attempt} and has attempts {[one.number for one in job.attempts]}"


_QUARANTINED_AFTER = 2
"""So many workers must have been lost to a job before it may be put under quarantine."""


def _otherwise(seen: Seen) -> Found:
    """Find jobs that ended as they may not; a healthy one may die only of its process or workers killed too often."""
    requests = {job_id: request for request in seen.requests for job_id in request.ids}
    for job in seen.jobs:
        request = requests.get(job.id)
        if request is None or job.state not in FINAL or job.state in request.may_end:
            continue
        died = sum(one.error == _DIED for one in job.attempts)
        if job.state == "dead" and died and died == sum(one.error is not None for one in job.attempts) <= seen.kills:
            continue
        lost = sum(one.outcome == "lost" for one in job.attempts)
        if job.state == "dead" and _QUARANTINED_AFTER <= lost <= seen.kills and job.number is None:
            continue
        errors = [one.error for one in job.attempts if one.error is not None]
        yield job.id, f"({job.kind}) is {job.state}, may be {sorted(request.may_end)}: {_trace(job)} {errors}"


def _uncancelled(seen: Seen) -> Found:
    """Find jobs that began again after the service had said that it cancels them."""
    cancelled = {job_id for request in seen.requests if request.cancelled for job_id in request.ids}
    for job in seen.jobs:
        if job.id in cancelled:
            since = next((one.seq for one in job.timeline if one.event in {"cancel_requested", "cancelled"}), None)
            if since is None or any(one.event == "started" and one.seq > since for one in job.timeline):
                yield job.id, f"was cancelled and went on: {_trace(job)}"


def _gaps(seen: Seen) -> Found:
    """Find numbers of a series that do not stand in the XML of exactly one issued invoice."""
    issued: dict[tuple[str, str], dict[int, list[str]]] = {}
    for job in seen.jobs:
        for number in {file.number for file in job.files if file.number}:
            series, _, digits = number.rpartition("-")
            issued.setdefault((job.customer, series), {}).setdefault(int(digits), []).append(job.id)
    for (customer, series), in_use in issued.items():
        for place, jobs in sorted(in_use.items()):
            if len(jobs) > 1:
                yield f"{customer}/{series}-{place:06d}", f"stands in {len(jobs)} invoices: {', '.join(jobs)}"
    for one in seen.series:
        places = issued.get((one.customer, one.series), {})
        owners = {number: f"{job} ({'' if is_issued else 'not '}issued)" for number, job, is_issued in one.numbered}
        for place in sorted(set(range(1, max([one.last, *places]) + 1)) - set(places)):
            number = f"{one.series}-{place:06d}"
            yield f"{one.customer}/{number}", f"stands in no invoice; given to {owners.get(number, 'nobody')}"
        if one.last != max(places, default=0):
            yield f"{one.customer}/{one.series}", f"is counted to {one.last} and issued to {max(places, default=0)}"


def _dead_with_number(seen: Seen) -> Found:
    """Find invoices that were given a number and ended without being issued: a gap until somebody has them retried."""
    states = {job.id: job.state for job in seen.jobs}
    for one in seen.series:
        for number, job, is_issued in one.numbered:
            if not is_issued and states.get(job) in FINAL:
                yield job, f"is {states[job]} and has the number {number}, which was not issued"


def _misnumbered(seen: Seen) -> Found:
    """Find invoices without a file, with several numbers, or with a number though they were not issued."""
    for job in seen.jobs:
        if job.kind != "invoice.issue":
            continue
        numbers = {file.number for file in job.files if file.number} | {job.number}
        if job.state == "succeeded":
            if numbers != {job.number} or job.number is None:
                yield job.id, f"has several numbers: {sorted(map(str, numbers))}"
            if missing := _INVOICE_FILES - {file.name for file in job.files if file.kept}:
                yield job.id, f"has no {', '.join(sorted(missing))}"
        elif numbers != {None}:
            yield job.id, f"is {job.state} and has an issued number: {sorted(map(str, numbers))}"


def _altered(seen: Seen) -> Found:
    """Find files whose bytes are not those that were issued."""
    for job in seen.jobs:
        for file in job.files:
            hashes = {file.shown, file.kept, file.tagged, file.fetched}
            if file.kept is not None and len(hashes) > 1:
                yield f"{job.id}/{file.name}", f"its hashes differ: {sorted(map(str, hashes))}"
            if file.kept is None and job.state == "succeeded":
                yield f"{job.id}/{file.name}", "is not complete, though its job succeeded"


def _miscounted(seen: Seen) -> Found:
    """Find a count of waiting jobs that is wrong: admission refuses by it."""
    waiting = sum(job.state in {"queued", "retrying"} for job in seen.jobs)
    if seen.counted_waiting != waiting:
        yield "tallies", f"{seen.counted_waiting} jobs are counted as waiting, {waiting} wait"


def _hanging(seen: Seen) -> Found:
    """Find requests that were left without an answer over a connection that held."""
    times = Counter(one.asked for one in seen.answers if one.status is None and one.detail == NOTHING_CAME)
    for asked, number in times.items():
        yield "answers", f"{asked} was not answered, {number} times"


def _rude(seen: Seen) -> Found:
    """Find answers that neither succeed nor say when to come again, whatever was broken."""
    rude: Counter[str] = Counter()
    for one in seen.answers:
        if one.status is None or one.status < 400 or (one.asked.endswith(":cancel") and one.status == 409):
            continue
        if one.status not in _WAIT_AND_SEE:
            rude[f"{one.asked} was answered with {one.status} {one.detail}"] += 1
        elif one.retry_after is None:
            rude[f"{one.asked} was answered with {one.status} without Retry-After {one.detail}"] += 1
    for what, times in rude.items():
        yield "answers", f"{what}, {times} times"


def _unexplained(seen: Seen) -> Found:
    """Find jobs that were seen unexplained in two looks in a row: one is what an evaluation may take."""
    before: dict[str, str] = {}
    for one in seen.sightings:
        if one.cause == before.get(one.job) == "unexplained":
            yield one.job, f"was unexplained at {one.at:.0f} and in the look before"
        before[one.job] = one.cause


def _trace(job: Job) -> str:
    return " ".join(entry.event for entry in job.timeline[-12:] if entry.event != "progressed")


RULES: dict[str, Callable[[Seen], Found]] = {
    "lost": _lost,
    "doubled": _doubled,
    "half accepted": _half_accepted,
    "unfinished": _unfinished,
    "unseen": _unseen,
    "illegal path": _illegal,
    "ended otherwise": _otherwise,
    "uncancelled": _uncancelled,
    "number": _gaps,
    "gap": _dead_with_number,
    "misnumbered": _misnumbered,
    "altered": _altered,
    "miscounted": _miscounted,
    "hanging": _hanging,
    "rude": _rude,
    "unexplained": _unexplained,
    "untold": untold,
    "told again": told_again,
    "told otherwise": told_otherwise,
    "unsigned": unsigned,
    "disordered": disordered,
}
"""What the checker looks for, by name."""


def by_rule(found: Sequence[Violation]) -> dict[str, int]:
    """Count violations by rule, those of which there is none as well."""
    counts = Counter(one.rule for one in found)
    return {rule: counts[rule] for rule in RULES}
