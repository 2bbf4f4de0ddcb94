"""A job put into sentences: where it stands, why, how long still, what was promised."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Job = Mapping[str, Any]

COLOURS = {
    "queued": "cyan",
    "running": "blue",
    "retrying": "yellow",
    "in_review": "magenta",
    "succeeded": "green",
    "dead": "red",
    "cancelled": "bright_black",
}

_IS = {
    "in_review": "is in review",
    "queued": "is queued",
    "running": "is running",
    "retrying": "waits to be tried again",
    "succeeded": "has succeeded",
    "dead": "has failed for good",
    "cancelled": "was cancelled",
}


def moment(text: str) -> datetime:
    """Read a time as the API writes it."""
    return datetime.fromisoformat(text)


def clock(text: str | None) -> str:
    """Show a time of day in this machine's zone, which it names, with the day when it is another."""
    return "-" if text is None else f"{short_clock(text)} {moment(text).astimezone():%Z}"


def short_clock(text: str | None) -> str:
    """Show the same without its zone: for tables and timelines, of which every row would repeat it."""
    if text is None:
        return "-"
    at = moment(text).astimezone()
    today = datetime.now(UTC).astimezone().date()
    return f"{at:%H:%M:%S}" if at.date() == today else f"{at:%Y-%m-%d %H:%M:%S}"


def span(seconds: float) -> str:
    """Show a duration as a person would say it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return str(timedelta(seconds=round(seconds)))


def counted(number: int, noun: str) -> str:
    """Show how many there are of something."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def plain(value: Any) -> str:  # noqa: ANN401 - evidence is whatever JSON can say
    """Show a piece of evidence: words as they are, several after each other, all else as JSON has it."""
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def headline(job: Job) -> str:
    """Say in a sentence which job it is and where it stands."""
    name = f"Job {job['id']} ({job['kind']}" + (f", reference {job['reference']})" if job.get("reference") else ")")
    return f"{name} {_IS.get(job['state'], job['state'])}{_how_far(job)}."


def sentences(job: Job) -> Iterator[str]:
    """Say all that is known of a job, the proven cause first."""
    yield headline(job)
    yield from _times(job)
    cause = job.get("cause")
    if cause:
        yield f"Why: {cause['message']} [{cause['code']}, seen at {clock(cause['observed_at'])}]"
        if cause.get("evidence"):
            yield (
                "Evidence: " + ", ".join(f"{name} = {plain(value)}" for name, value in cause["evidence"].items()) + "."
            )
        if cause.get("next_update_by"):
            by = clock(cause["next_update_by"])
            yield f"You hear of it again by {by}: it has changed by then, or you are told why not."
    yield from _incident(job.get("incident"))
    if job.get("position"):
        yield position_text(job["position"], job["lane"])
    if not _is_over(job):
        yield eta_text(job.get("eta"), job.get("normal"))
    yield from _standing(job)
    yield from _error(job)
    yield from _outcome(job)


def at_the_end(job: Job) -> Iterator[str]:
    """Say how a job ended, and what to do where that was not well."""
    yield headline(job)
    yield from _error(job)


def eta_text(eta: Mapping[str, Any] | None, usual: Mapping[str, Any] | None = None) -> str:
    """Say when the end is expected, and how sure that is, or why that cannot be said."""
    if eta is None and usual and usual.get("p50_s") is not None:
        return "When it will end cannot be said while this lasts."
    if eta is None:
        return "When it will end cannot be said yet: too few similar jobs have ended."
    sure = f", {eta['confidence']:.0%} sure" if eta.get("confidence") is not None else ""
    return (
        f"Expected to end between {short_clock(eta['earliest'])} and {short_clock(eta['latest'])}, most likely at "
        f"{clock(eta['likely'])} (from {counted(eta['similar_jobs'], 'similar job')}{sure})."
    )


def position_text(position: Mapping[str, Any], lane: Mapping[str, Any]) -> str:
    """Say how many jobs start before it."""
    most = position.get("at_most")
    band = f" ({position['at_least']} to {most} with what may come)" if most is not None else " or more"
    ahead = "1 job is" if position["ahead"] == 1 else f"{position['ahead']} jobs are"
    return f"{ahead} ahead of it{band} in the lane {lane['priority']}-{lane['size']}."


def progress_text(job: Job) -> str:
    """Say how far it is, in its own unit; empty when it has not said so."""
    progress = job.get("progress")
    return f"{progress['done']:,.0f} of {progress['total']:,.0f} {progress['unit']}" if progress else ""


def _incident(incident: Mapping[str, Any] | None) -> Iterator[str]:
    if incident:
        until = f"; it should be over by {clock(incident['estimate'])}" if incident["estimate"] else ""
        title = incident["title"].rstrip(".")
        yield f"An incident of ours that began at {clock(incident['since'])} touches it: {title}{until}."


def _how_far(job: Job) -> str:
    text = progress_text(job)
    return f", {text}" if text and not _is_over(job) else ""


def _times(job: Job) -> Iterator[str]:
    parts = [f"submitted {clock(job['submitted_at'])}"]
    if job.get("started_at"):
        parts.append(f"started {clock(job['started_at'])}")
    if job.get("finished_at"):
        took = (moment(job["finished_at"]) - moment(job["submitted_at"])).total_seconds()
        parts.append(f"ended {clock(job['finished_at'])}, {span(took)} after it was submitted")
    said = ", ".join(parts)
    yield said[0].upper() + said[1:] + (f" (attempt {job['attempt']})." if job["attempt"] > 1 else ".")


def _standing(job: Job) -> Iterator[str]:
    normal = job.get("normal") or {}
    if normal.get("p50_s") is not None:
        known = f"{counted(normal['similar_jobs'], 'similar job')}); this one: {normal['verdict']}"
        half, most = span(normal["p50_s"]), span(normal["p90_s"])
        yield f"Normal for its kind and size: half take up to {half}, nine in ten up to {most} ({known}."
    elif not _is_over(job):
        yield f"What is normal for its kind and size is not known yet: {_ended(normal.get('similar_jobs') or 0)}."
    promise = job.get("promise")
    if promise:
        moved = f" (before: {clock(promise['moved_from'])})" if promise.get("moved_from") else ""
        yield f"Promised by {clock(promise['due'])}{moved}: {promise['status'].replace('_', ' ')}."
        yield from map(_told, promise.get("history") or ())


def _is_over(job: Job) -> bool:
    return job["state"] in {"succeeded", "dead", "cancelled"}


def _ended(similar: int) -> str:
    few = {0: "no similar job has ended", 1: "one similar job has ended"}
    return few.get(similar, f"{similar} similar jobs have ended")


def _told(change: Mapping[str, Any]) -> str:
    """Say what was told of a promise."""
    words = f"  {short_clock(change['at'])} {change['news'].replace('_', ' ')}, due {clock(change['due'])}"
    if change.get("expected"):
        words += f", expected by {clock(change['expected']['latest'])}"
    return words + (f": {change['reason']['message']}" if change.get("reason") else ".")


def _error(job: Job) -> Iterator[str]:
    error = job.get("error")
    if error:
        rule = f", rule {error['rule']}" if error.get("rule") else ""
        where = f" at {error['field']}" if error.get("field") else ""
        yield f"Error: {error.get('message')} [{error.get('code')}{rule}]{where}"
        for one in error.get("findings") or ():
            yield f"  {one.get('field') or '/'}: {one.get('message')} [{one.get('code') or one.get('rule')}]"
        if error.get("remedy"):
            yield f"Remedy: {error['remedy']}"


def _outcome(job: Job) -> Iterator[str]:
    if job.get("result"):
        yield "Result: " + ", ".join(f"{name} {value}" for name, value in job["result"].items()) + "."
    for one in job.get("artifacts") or ():
        whole = "" if one.get("complete", True) else " so far"
        yield f"File: {one['name']} ({one['bytes']:,} bytes{whole}), {one['href']}"
