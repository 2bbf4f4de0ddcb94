"""`incidents`: what is wrong now, whom it touches, what to do; and what people do about it."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.client import Answer, reach
from invoicing.cli.durations import a_time, duration
from invoicing.cli.faults import USAGE, Fault
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import emit, say, show_table
from invoicing.cli.wording import clock, counted, moment, plain, short_clock, span

IncidentId = Annotated[str, typer.Argument(metavar="ID", help="The incident's whole id.")]
Text = Annotated[str | None, typer.Option(help="What our staff read of it; customers do not.")]
Needed = Annotated[str, typer.Option("--text", help="What our staff read of it; customers do not.")]

_MOST_JOBS = 5
"""Jobs that are named where people read."""

_OPEN = {"state": "open,acknowledged", "severity": None, "cause": None}
"""What is asked for unless something else is."""

_COLOURS = {"S1": "bold red", "S2": "red", "S3": "yellow", "S4": "cyan"}


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    incidents = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")
    incidents.callback()(_list_by_default)
    incidents.command("list")(list_incidents)
    incidents.command("show")(show)
    incidents.command("ack")(acknowledge)
    incidents.command("assign")(assign)
    incidents.command("note")(note)
    incidents.command("estimate")(estimate)
    incidents.command("merge")(merge)
    incidents.command("resolve")(resolve)
    app.add_typer(incidents, name="incidents", rich_help_panel="A running service")


def _list_by_default(
    context: typer.Context, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """See incidents and work on them; alone it lists those that are not over."""
    if context.invoked_subcommand is None:
        list_incidents(home=home, url=url, key=key, as_json=as_json)


def list_incidents(
    state: Annotated[
        str, typer.Option(help="open, acknowledged, resolved, several with commas, or all.")
    ] = "open,acknowledged",
    severity: Annotated[str | None, typer.Option(help="S1, S2, S3, S4, or several with commas.")] = None,
    cause: Annotated[str | None, typer.Option(help="no_worker, dependency_down, ...")] = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List incidents, the newest first: how bad, what, whom it touches, since when, until when.

    Example: `invoicing incidents list --state all --severity S1,S2`
    """
    with reach(home, url, key, "ops") as service:
        wanted = {"state": None if state == "all" else state, "severity": severity, "cause": cause}
        found = service.get("/v1/incidents", **wanted)
    if as_json:
        emit(found)
        return
    if not found["items"]:
        say("No incident is open." if wanted == _OPEN else "There are no such incidents.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "incident", "state", "what", "jobs", "customers", "missed", "for", "expected"):
        table.add_column(column, no_wrap=column != "what")
    for one in found["items"]:
        table.add_row(*_row(one))
    show_table(table, spare=("expected", "customers", "missed", "for"))


def show(
    incident_id: IncidentId, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Show an incident: evidence, whom it touches, what happened, what to do.

    Example: `invoicing incidents show 01a2013d-0f08-7b48-a650-270387a8071a`
    """
    with reach(home, url, key, "ops") as service:
        found = service.get(_path(incident_id))
    if as_json:
        emit(found)
    else:
        _tell(found)


def acknowledge(
    incident_id: IncidentId,
    text: Text = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Say that somebody looks after an incident.

    Example: `invoicing incidents ack 01a2013d-0f08-7b48-a650-270387a8071a --text "looking at the hosts"`
    """
    _act(incident_id, "acknowledge", {"text": text}, home, url, key, as_json=as_json)


def assign(
    incident_id: IncidentId,
    to: Annotated[str | None, typer.Option(help="Who looks after it; left out: nobody.")] = None,
    text: Text = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Put an incident into somebody's hands.

    Example: `invoicing incidents assign 01a2013d-0f08-7b48-a650-270387a8071a --to "Ann of the night shift"`
    """
    _act(incident_id, "assign", {"to": to, "text": text}, home, url, key, as_json=as_json)


def note(
    incident_id: IncidentId,
    text: Needed,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Write something down about an incident.

    Example: `invoicing incidents note 01a2013d-0f08-7b48-a650-270387a8071a --text "the rack is dark"`
    """
    _act(incident_id, "note", {"text": text}, home, url, key, as_json=as_json)


def estimate(
    incident_id: IncidentId,
    until: Annotated[str | None, typer.Option(help="When it should be over: 30m, 2h, or a time in RFC 3339.")] = None,
    text: Text = None,
    *,
    unknown: Annotated[bool, typer.Option("--unknown", help="Nobody knows any more.")] = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Say when an incident should be over; the customers of its jobs see it.

    Example: `invoicing incidents estimate 01a2013d-0f08-7b48-a650-270387a8071a --until 30m`
    """
    if (until is None) != unknown:
        raise Fault("An estimate needs its time.", "Give either --until 30m or --unknown.", USAGE)
    spoken = duration(until or "")
    end = None if until is None else datetime.now(UTC) + spoken if spoken else a_time("--until", until)
    body = {"at": None if end is None else end.isoformat(), "text": text}
    _act(incident_id, "estimate", body, home, url, key, as_json=as_json)


def merge(
    incident_id: IncidentId,
    into: Annotated[str, typer.Option(help="The incident that goes on.")],
    text: Text = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Go on with an incident as a part of another.

    Example: `invoicing incidents merge ID --into 01a2013c-6f1b-7a0e-8a31-3d4cf2e0b7a9`
    """
    _act(incident_id, "merge", {"into": into, "text": text}, home, url, key, as_json=as_json)


def resolve(
    incident_id: IncidentId,
    text: Needed,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Say that an incident is over; refused while its cause is seen to hold.

    Example: `invoicing incidents resolve 01a2013d-0f08-7b48-a650-270387a8071a --text "retried them all"`
    """
    _act(incident_id, "resolve", {"text": text}, home, url, key, as_json=as_json)


def _act(incident_id: str, verb: str, body: dict[str, Any], home: Home, url: Url, key: Key, *, as_json: bool) -> None:
    optional = {name: value for name, value in body.items() if value is not None or name in {"to", "at"}}
    with reach(home, url, key, "ops") as service:
        done = service.post(f"{_path(incident_id)}:{verb}", optional)
    if as_json:
        emit(done)
        return
    incident = done["incident"]
    changed = "" if done["changed"] else "nothing changes; "
    say(escape(f"{incident['id']}: {changed}{incident['state']}, {incident['severity']}, {_expected(incident)}"))


def _path(incident_id: str) -> str:
    if len(incident_id) < 32:
        raise Fault(f"{incident_id!r} is no whole id.", "`invoicing incidents list` shows whole ids.", USAGE)
    return f"/v1/incidents/{incident_id}"


def _row(one: Answer) -> tuple[str, ...]:
    blast, colour = one["blast"], _COLOURS[one["severity"]]
    ended = moment(one["resolved"]["at"]) if one["resolved"] else datetime.now(UTC)
    state = f"{one['state']}, eased" if one["quiet_since"] else one["state"]
    return (
        f"[{colour}]{one['severity']}[/]",
        one["id"],
        state,
        escape(one["title"]),
        f"{blast['jobs']}{'+' if blast['at_least'] else ''}",
        str(blast["customers"]),
        str(blast["promises_missed"]),
        span((ended - moment(one["since"])).total_seconds()),
        short_clock(one["estimate"]["at"]) if one["estimate"] else "-",
    )


def _expected(one: Answer) -> str:
    if one["resolved"]:
        return f"over at {clock(one['resolved']['at'])}"
    if one["estimate"] is None:
        return "nobody knows how long still"
    return f"expected to be over at {clock(one['estimate']['at'])} ({one['estimate']['by']})"


def _tell(one: Answer) -> None:
    blast = one["blast"]
    more = "at least " if blast["at_least"] else ""
    say(f"[{_COLOURS[one['severity']]}]{one['severity']}[/] {escape(one['title'])} ({one['state']})")
    say(escape(f"since {clock(one['since'])}, {_expected(one)}"))
    if one["acknowledged"]:
        say(escape(f"acknowledged by {one['acknowledged']['by']} at {clock(one['acknowledged']['at'])}"))
    if one["assignee"]:
        say(escape(f"in the hands of {one['assignee']}"))
    if one["resolves_at"]:
        say(f"its cause is not seen since {clock(one['quiet_since'])}; over by itself at {clock(one['resolves_at'])}")
    say(f"touches {more}{counted(blast['jobs'], 'job')} of {counted(blast['customers'], 'customer')}")
    say(f"promises: {blast['promises_missed']} missed, {blast['promises_at_risk']} at risk")
    if blast["money"]:
        least = "at least " if blast["money_at_least"] else ""
        say(escape(f"holds up {least}{', '.join(f'{amount} {of}' for of, amount in blast['money'].items())}"))
    if blast["jobs"]:
        _tell_members(one["members"])
    _tell_called(one["escalation"])
    for name, value in one["evidence"].items():
        say(escape(f"  {name}: {plain(value)}"))
    for row in one["timeline"]:
        change = f"{row['change'].replace('_', ' ')} by {row['by']}"
        say(escape(f"{short_clock(row['at'])}  {change}  {row['text'] or ''}".rstrip()))
    say(escape(f"\n{one['runbook']}"))


def _tell_members(members: Answer) -> None:
    """Name the first of the jobs; all of them are in the answer of the API, page by page."""
    for job in members["items"][:_MOST_JOBS]:
        named = f"{job['kind']} {job['reference']}" if job["reference"] else job["kind"]
        promised = f"promised by {clock(job['promise_due'])} ({job['promise_status'].replace('_', ' ')})"
        say(escape(f"  {job['id']}  {job['customer']}  {named}  {job['state']} in {job['lane']}, {promised}"))
    if len(members["items"]) > _MOST_JOBS or members["next_page_token"]:
        say("  and more: --json has them page by page")


def _tell_called(escalation: Answer) -> None:
    for call in escalation["called"]:
        say(escape(f"{call['name']} (level {call['level']}) was called at {clock(call['at'])}"))
    if escalation["next"]:
        names = ", ".join(person["name"] for person in escalation["next"]["people"])
        say(escape(f"next, unless it is acknowledged: {names} at {clock(escalation['next']['at'])}"))
