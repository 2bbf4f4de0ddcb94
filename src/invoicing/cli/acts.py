"""`jobs expedite | move | retry | promise | release | reject | pause | resume`: acts of our staff, with a preview."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from invoicing.cli.client import Answer, reach
from invoicing.cli.durations import a_time, an_end, duration
from invoicing.cli.faults import USAGE, Fault
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import emit, say
from invoicing.cli.wording import clock, short_clock

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's whole id.")]
Reason = Annotated[str, typer.Option(help="Why: it goes on the audit; customers do not see it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]

_WHOLE_ID = 32


def attach(jobs: typer.Typer) -> None:
    """Add the verbs."""
    jobs.command("expedite")(expedite)
    jobs.command("move")(move)
    jobs.command("retry")(retry)
    jobs.command("promise")(promise)
    jobs.command("release")(release)
    jobs.command("reject")(reject)
    jobs.command("pause")(pause)
    jobs.command("resume")(resume)


def expedite(
    job_id: JobId,
    reason: Reason,
    *,
    dry_run: DryRun = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Let a waiting job start next, before the fair order (support, ops).

    Example: `invoicing jobs expedite 01a2013d-0f08-7b48-a650-270387a8071a --reason "due at noon" --dry-run`
    """
    with reach(home, url, key, "support") as service:
        done = service.post(_path(job_id, "expedite"), {"reason": reason}, dry_run=_flag(dry_run=dry_run))
    _tell(done, as_json=as_json)


def move(
    job_id: JobId,
    reason: Reason,
    priority: Annotated[str | None, typer.Option(help="urgent, normal or bulk.")] = None,
    size: Annotated[str | None, typer.Option(help="small, medium, large or huge.")] = None,
    *,
    dry_run: DryRun = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Move a waiting job to another lane (support, ops).

    Example: `invoicing jobs move 01a2013d-0f08-7b48-a650-270387a8071a --priority urgent --reason "wrongly bulk"`
    """
    if priority is None and size is None:
        raise Fault("A move needs its target.", "Give --priority, --size, or both.", USAGE)
    wish = {name: value for name, value in (("priority", priority), ("size", size)) if value is not None}
    with reach(home, url, key, "support") as service:
        done = service.post(_path(job_id, "move"), {"reason": reason, **wish}, dry_run=_flag(dry_run=dry_run))
    _tell(done, as_json=as_json)


def retry(
    job_id: JobId,
    reason: Reason,
    *,
    dry_run: DryRun = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Have a job tried again now that died, or that waits for its next attempt (support, ops).

    Example: `invoicing jobs retry 01a2013d-0f08-7b48-a650-270387a8071a --reason "the register is back"`
    """
    with reach(home, url, key, "support") as service:
        done = service.post(_path(job_id, "retry"), {"reason": reason}, dry_run=_flag(dry_run=dry_run))
    _tell(done, as_json=as_json)


def promise(
    job_id: JobId,
    reason: Reason,
    due: Annotated[str, typer.Option(help="By when from now on: 2h, 3d, or a time in RFC 3339.")],
    *,
    dry_run: DryRun = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Promise another time for a job; its customer is told (support, ops).

    Example: `invoicing jobs promise 01a2013d-0f08-7b48-a650-270387a8071a --due 2h --reason "the register is slow"`
    """
    spoken = duration(due)
    until = datetime.now(UTC) + spoken if spoken else a_time("--due", due)
    wish = {"reason": reason, "due": until.isoformat()}
    with reach(home, url, key, "support") as service:
        done = service.post(_path(job_id, "promise"), wish, dry_run=_flag(dry_run=dry_run))
    _tell(done, as_json=as_json)


def release(
    job_id: JobId,
    reason: Reason,
    *,
    dry_run: DryRun = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Let a job go that is in review: it joins its lane (support, ops).

    Example: `invoicing jobs release 01a2013d-0f08-7b48-a650-270387a8071a --reason "the buyer was called"`
    """
    with reach(home, url, key, "support") as service:
        done = service.post(_path(job_id, "release"), {"reason": reason}, dry_run=_flag(dry_run=dry_run))
    _tell(done, as_json=as_json)


def reject(
    job_id: JobId,
    reason: Reason,
    message: Annotated[str, typer.Option(help="Why, as the customer reads it.")],
    *,
    dry_run: DryRun = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Reject a job that is in review: it ends, and its customer reads the message (support, ops).

    Example: `invoicing jobs reject 01a2013d-0f08-7b48-a650-270387a8071a --reason "no order" --message "Not ordered."`
    """
    wish = {"reason": reason, "message": message}
    with reach(home, url, key, "support") as service:
        done = service.post(_path(job_id, "reject"), wish, dry_run=_flag(dry_run=dry_run))
    _tell(done, as_json=as_json)


def pause(
    job_id: JobId,
    reason: Reason,
    until: Annotated[str | None, typer.Option(help="When it goes on by itself: a time in RFC 3339.")] = None,
    span: Annotated[str | None, typer.Option("--for", help="Or for how long: 15m, 2h, 3d; 31 days at most.")] = None,
    message: Annotated[str | None, typer.Option(help="Why, as the customer reads it.")] = None,
    *,
    dry_run: DryRun = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Let a waiting job not start before a time; it keeps its place, and its customer is told (support, ops).

    Example: `invoicing jobs pause 01a2013d-0f08-7b48-a650-270387a8071a --for 2h --reason "Erika asked us to wait"`
    """
    end = an_end(until, span)
    wish = {"reason": reason, "until": end.isoformat(), **({} if message is None else {"message": message})}
    with reach(home, url, key, "support") as service:
        done = service.post(_path(job_id, "pause"), wish, dry_run=_flag(dry_run=dry_run))
    _tell(done, as_json=as_json)


def resume(
    job_id: JobId,
    reason: Reason,
    *,
    dry_run: DryRun = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Let a paused job go on before its time, in its place (support, ops).

    Example: `invoicing jobs resume 01a2013d-0f08-7b48-a650-270387a8071a --reason "the address came"`
    """
    with reach(home, url, key, "support") as service:
        done = service.post(_path(job_id, "resume"), {"reason": reason}, dry_run=_flag(dry_run=dry_run))
    _tell(done, as_json=as_json)


def _path(job_id: str, verb: str) -> str:
    if len(job_id) < _WHOLE_ID:
        raise Fault(f"{job_id!r} is no whole id.", "`invoicing jobs list --json` shows whole ids.", USAGE)
    return f"/v1/support/jobs/{job_id}:{verb}"


def _flag(*, dry_run: bool) -> str | None:
    return "true" if dry_run else None


def _tell(done: Answer, *, as_json: bool) -> None:
    """Say what an act changed: state, lane, place and expected end, before and after."""
    if as_json:
        emit(done)
        return
    job, before, after = done["job"], done["before"], done["after"]
    if not done["changed"]:
        say(escape(f"{job['id']}: nothing changes; it is {_standing(after)}."))
        return
    verb = "would change" if done["dry_run"] else "changed"
    say(escape(f"{job['id']} {verb}"))
    say(escape(f"  from {_standing(before)}"))
    say(escape(f"  to   {_standing(after)}"))
    if after["state"] in {"queued", "retrying"} and not after["position"] and job["cause"]:
        say(escape(f"  {job['cause']['message']}"))


def _standing(standing: Answer) -> str:
    lane, position, eta = standing["lane"], standing["position"], standing["eta"]
    words = [f"{standing['state']} in {lane['priority']}-{lane['size']}"]
    if standing["expedited_at"]:
        words.append("expedited")
    if position:
        words.append(f"{position['ahead']} ahead")
    if eta:
        words.append(
            f"done about {clock(eta['likely'])} ({short_clock(eta['earliest'])} to {short_clock(eta['latest'])})"
        )
    words.append(f"promised by {clock(standing['promise_due'])}")
    return ", ".join(words)
