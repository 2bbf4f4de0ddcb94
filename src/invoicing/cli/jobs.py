"""`jobs list | show | why | watch | cancel` and `why`: reading jobs, following one, ending one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli import acts, estimate, submit
from invoicing.cli.client import Answer, Service, reach
from invoicing.cli.durations import a_time, duration
from invoicing.cli.faults import REFUSED, USAGE, Fault
from invoicing.cli.follow import follow_all
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import OUT, emit, say, show_table
from invoicing.cli.why import account_told, causes_told, intervals_told, totals_table
from invoicing.cli.wording import COLOURS, at_the_end, headline, progress_text, sentences, short_clock

STATES = ("in_review", "queued", "running", "retrying", "succeeded", "dead", "cancelled")
_PAGE = 200
_EVERY = 1_000_000
"""More events than a job has."""
_OF_WHY = ("id", "state", "lane", "progress", "cause", "position", "eta", "normal", "promise", "incident", "error")
Language = Annotated[
    str | None, typer.Option(metavar="CODE", help="The language of its causes, such as de or zh; else English.")
]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id, or the end of it (of the last 200 jobs).")]


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    jobs = typer.Typer(help="Submit, read, follow and cancel jobs.", no_args_is_help=True, rich_markup_mode="markdown")
    submit.attach(jobs)
    estimate.attach(jobs)
    jobs.command("list")(list_jobs)
    jobs.command("show")(show)
    jobs.command("why")(why)
    jobs.command("watch")(watch)
    jobs.command("cancel")(cancel)
    acts.attach(jobs)
    app.add_typer(jobs, name="jobs", rich_help_panel="A running service")
    app.command("why", rich_help_panel="A running service")(why)


def list_jobs(
    state: Annotated[
        list[str] | None, typer.Option(help=f"Only this state; may be repeated ({', '.join(STATES)}).")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    reference: Annotated[str | None, typer.Option(help="Only this reference.")] = None,
    since: Annotated[str | None, typer.Option(help="Only jobs submitted since: 2h, 3d, or a time in RFC 3339.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest.")] = 20,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first.

    Example: `invoicing jobs list --state running --state queued --since 2h`
    """
    wrong = set(state or ()) - set(STATES)
    if wrong:
        raise Fault(f"There is no state {', '.join(sorted(wrong))}.", f"The states are {', '.join(STATES)}.", USAGE)
    filters = {
        "state": ",".join(state) if state else None,
        "kind": kind,
        "reference": reference,
        "since": _since(since),
    }
    with reach(home, url, key) as service:
        found = _pages(service, "/v1/jobs", filters, limit)
    if as_json:
        emit({"items": found})
    elif found:
        show_table(_table(found), spare=("ended", "lane", "kind"))
    else:
        say("There are no such jobs.")


def show(
    job_id: JobId,
    language: Language = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show all that is known of a job, and what happened to it.

    Example: `invoicing jobs show 01a2013d-0f08-7b48-a650-270387a8071a --language de`
    """
    with reach(home, url, key) as service:
        if language is not None:
            service.speak(language)
        job = _job(service, job_id)
        events = _pages(service, f"/v1/jobs/{job['id']}/events", {}, _EVERY)
    if as_json:
        emit({**job, "events": events})
        return
    for sentence in sentences(job):
        say(escape(sentence))
    for event in events:
        plain = {name: value for name, value in event["data"].items() if isinstance(value, str | int | float)}
        data = ", ".join(f"{name} {value}" for name, value in plain.items())
        say(escape(f"  {short_clock(event['at'])} {event['event'].replace('_', ' ')} {data}".rstrip()))


def why(
    job_id: JobId,
    language: Language = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Say why a job is where it is, what happens next, who can act, and where all of its time went.

    Example: `invoicing why 270387a8071a`, or the same as `invoicing jobs why 270387a8071a`
    """
    with reach(home, url, key) as service:
        if language is not None:
            service.speak(language)
        job = _job(service, job_id)
        told = service.get(f"/v1/jobs/{job['id']}/why")
    if as_json:
        emit({**{name: job.get(name) for name in _OF_WHY}, "causes": told["causes"], "account": told["account"]})
        return
    for sentence in (
        *sentences({**job, "artifacts": (), "result": None}),
        *causes_told(told, shown=job["cause"] is not None),
    ):
        say(escape(sentence))
    say(account_told(told["account"]))
    OUT.print(totals_table(told["account"]["totals"]))
    for sentence in intervals_told(told["account"]):
        say(sentence)


def watch(
    job_id: JobId, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Follow a job to its end, with a progress bar; exit code 1 when it did not succeed.

    Example: `invoicing jobs watch 270387a8071a`
    """
    with reach(home, url, key) as service:
        job = _job(service, job_id)
        (ended,) = follow_all(service, [(job.get("reference") or job["id"][-12:], job["id"])], quiet=as_json)
    if as_json:
        emit(ended)
    else:
        for sentence in at_the_end(ended):
            say(escape(sentence))
    if ended["state"] != "succeeded":
        raise typer.Exit(REFUSED)


def cancel(
    job_id: JobId, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Cancel a job; one that runs stops at its next checkpoint.

    Example: `invoicing jobs cancel 270387a8071a`
    """
    with reach(home, url, key) as service:
        job = service.post(f"/v1/jobs/{_job(service, job_id)['id']}:cancel")
    if as_json:
        emit(job)
    else:
        say(escape(headline(job)))


def _job(service: Service, job_id: str) -> Answer:
    """Read a job by its id, or by the end of its id as tables show it."""
    if len(job_id) >= 32:  # a UUID, with or without hyphens
        return service.get(f"/v1/jobs/{job_id}")
    found = [job for job in service.get("/v1/jobs", page_size=_PAGE)["items"] if job["id"].endswith(job_id.lower())]
    if len(found) != 1:
        raise Fault(
            f"{len(found) or 'None'} of the last {_PAGE} jobs {'have' if found else 'has'} an id ending in {job_id!r}.",
            "Give the whole id: `invoicing jobs list --json` shows it.",
        )
    return service.get(f"/v1/jobs/{found[0]['id']}")


def _pages(service: Service, path: str, filters: dict[str, Any], limit: int) -> list[Answer]:
    found: list[Answer] = []
    token: str | None = None
    while len(found) < limit:
        page = service.get(path, **filters, page_size=min(_PAGE, limit - len(found)), page_token=token)
        found += page["items"]
        token = page["next_page_token"]
        if token is None:
            break
    return found


def _since(text: str | None) -> str | None:
    if text is None:
        return None
    spoken = duration(text)
    return (a_time("--since", text) if spoken is None else datetime.now(UTC) - spoken).isoformat()


def _table(jobs: Sequence[Answer]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "state", "kind", "reference", "lane", "submitted", "ended", "progress"):
        table.add_column(column, no_wrap=True)
    for job in jobs:
        lane = f"{job['lane']['priority']}-{job['lane']['size']}"
        state = f"[{COLOURS.get(job['state'], 'default')}]{job['state'].replace('_', ' ')}[/]"
        times = short_clock(job["submitted_at"]), short_clock(job["finished_at"])
        words = job["id"][-12:], state, job["kind"], escape(job["reference"] or "-"), lane, *times, progress_text(job)
        table.add_row(*words)
    return table
