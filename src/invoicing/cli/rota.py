"""`rota`: who is on call when, which hours nobody covers, overrides, calendars in and out."""

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.client import Answer, reach
from invoicing.cli.durations import a_duration, a_time
from invoicing.cli.faults import REFUSED, USAGE, Fault
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import emit, say, show_table
from invoicing.cli.wording import clock, short_clock

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CALENDAR = "text/calendar"
_MOST_SAID = 20

Reason = Annotated[str, typer.Option(help="Why: it goes on the audit.")]
Weeks = Annotated[int, typer.Option(min=1, max=53, help="How far to look ahead.")]


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    rota = typer.Typer(no_args_is_help=True, help="See and change who is on call when.")
    rota.command("show")(show)
    rota.command("now")(now)
    rota.command("lint")(lint)
    rota.command("write")(write)
    rota.command("override")(override)
    rota.command("remove")(remove)
    rota.command("import")(import_calendar)
    rota.command("export")(export)
    app.add_typer(rota, name="rota", rich_help_panel="A running service")


def show(*, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show people, shifts, steps and overrides.

    Example: `invoicing rota show`
    """
    with reach(home, url, key, "ops") as service:
        found = service.get("/v1/rota")
    if as_json:
        emit(found)
    else:
        _tell(found)


def now(
    at: Annotated[str | None, typer.Option(help="At another time: RFC 3339.")] = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show who is on duty, who would be told of something that begins now, and when that changes.

    Example: `invoicing rota now`
    """
    moment = None if at is None else a_time("--at", at).isoformat()
    with reach(home, url, key, "ops") as service:
        found = service.get("/v1/rota/now", at=moment)
    if as_json:
        emit(found)
        return
    for post in found["on_duty"]:
        say(escape(f"level {post['level']}: {_called(post['person'])}"))
    for finding in found["findings"]:
        say(f"[red]{finding['severity']}[/] {escape(finding['message'])}")
    for call in found["calls"]:
        who = ", ".join(person["name"] for person in call["people"]) or "nobody"
        say(escape(f"after {call['after_minutes']:g} min without an acknowledgement: {who}"))
    if found["next"]:
        who = ", ".join(post["person"]["name"] for post in found["next"]["on_duty"]) or "nobody"
        say(escape(f"from {clock(found['next']['at'])}: {who}"))


def lint(
    weeks: Weeks = 8, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """List the hours to come that nobody covers, changes of the clock and holidays included; exit code 1 if any.

    Example: `invoicing rota lint --weeks 26`
    """
    with reach(home, url, key, "ops") as service:
        found = service.get("/v1/rota/gaps", weeks=weeks)
    if as_json:
        emit(found)
    else:
        for gap in found["items"][:_MOST_SAID]:
            say(f"nobody from {short_clock(gap['from'])} until {clock(gap['until'])} ({gap['hours']:g} h)")
        if len(found["items"]) > _MOST_SAID:
            say(f"and {len(found['items']) - _MOST_SAID} more (--json lists them)")
        percent = int(found["covered"] * 10_000) / 100
        say(f"{percent:g} % of the next {weeks} weeks is covered, {found['hours']:g} h are not.")
    if found["items"]:
        raise typer.Exit(REFUSED)


def write(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON: people, shifts, steps, claims.")],
    reason: Reason,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Write the rota anew from a file, such as `examples/on-call/rota.json`; overrides stay.

    Example: `invoicing rota write rota.json --reason "Bob has joined"`
    """
    try:
        document = json.loads(_bytes(file))
    except ValueError as error:
        raise Fault(f"{file} is not JSON: {error}.", "examples/on-call/rota.json shows what it has.") from error
    if not isinstance(document, dict):
        raise Fault(f"{file} holds no JSON object.", "examples/on-call/rota.json shows what it has.")
    with reach(home, url, key, "ops") as service:
        found = service.put("/v1/rota", {**document, "reason": reason})
    if as_json:
        emit(found)
    else:
        _tell(found)


def override(
    person: Annotated[str, typer.Argument(help="Who is on duty: an id of the rota.")],
    reason: Reason,
    instead_of: Annotated[str | None, typer.Option("--for", help="For whom; left out: beside who is there.")] = None,
    begins: Annotated[str | None, typer.Option("--from", help="A time in RFC 3339; left out: now.")] = None,
    until: Annotated[str | None, typer.Option(help="A time in RFC 3339.")] = None,
    lasting: Annotated[str | None, typer.Option(help="Or for how long: 8h, 2d.")] = None,
    level: Annotated[int, typer.Option(min=1, max=10, help="Where nobody is replaced.")] = 1,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Put somebody on duty for another, or beside whoever is on duty.

    Example: `invoicing rota override bob --for ann --lasting 8h --reason "Ann is ill"`
    """
    if (until is None) == (lasting is None):
        raise Fault("An override needs its end.", "Give either --until TIME or --lasting DURATION.", USAGE)
    start = datetime.now(UTC) if begins is None else a_time("--from", begins)
    end = a_time("--until", until) if until else start + a_duration("--lasting", lasting or "")
    wish: dict[str, Any] = {"from": start.isoformat(), "until": end.isoformat(), "person": person}
    wish |= {"replaces": instead_of, "level": level, "reason": reason}
    with reach(home, url, key, "ops") as service:
        made = service.create("/v1/rota/overrides", wish, secrets.token_urlsafe(16))
    if as_json:
        emit(made)
    else:
        say(escape(f"{made['id']}: {_override(made)}"))


def remove(
    override_id: Annotated[str, typer.Argument(metavar="ID", help="As `invoicing rota show` names it.")],
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
) -> None:
    """Take an override back.

    Example: `invoicing rota remove 01a2013d-0f08-7b48-a650-270387a8071a`
    """
    with reach(home, url, key, "ops") as service:
        service.delete(f"/v1/rota/overrides/{override_id}")
    say("It is gone.")


def import_calendar(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An iCalendar file (.ics).")],
    reason: Reason,
    level: Annotated[int, typer.Option(min=1, max=10, help="Of events that name none.")] = 1,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would make.")] = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Take over duties from a calendar, in place of those imported before.

    Example: `invoicing rota import on-call.ics --reason "the plan of 2027" --dry-run`
    """
    asked: dict[str, str | int | None] = {"level": level, "reason": reason, "dry_run": str(dry_run).lower()}
    with reach(home, url, key, "ops") as service:
        made = service.post_text("/v1/rota.ics", _bytes(file), _CALENDAR, **asked)
    if as_json:
        emit(made)
        return
    would, until = "would be " if dry_run else "", f", until {clock(made['until'])}" if made["until"] else ""
    say(f"{made['duties']} duties {would}read{until}; {made['replaced']} of earlier imports {would}replaced.")
    for skipped in made["skipped"]:
        say(escape(f"left out: {skipped}"))


def export(
    weeks: Weeks = 8,
    output: Annotated[Path | None, typer.Option(help="A file; left out: standard output.")] = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
) -> None:
    """Write who is on call as a calendar (iCalendar), overrides included.

    Example: `invoicing rota export --weeks 12 --output on-call.ics`
    """
    with reach(home, url, key, "ops") as service:
        text = service.fetch_text("/v1/rota.ics", weeks=weeks)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, newline="", encoding="utf-8")
        say(f"Written to {output}.")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Fault(f"{file} cannot be read: {error.strerror}.") from error


def _tell(rota: Answer) -> None:
    if not rota["version"]:
        say("Nobody has written a rota. Begin with: invoicing rota write FILE --reason ...")
        return
    claims = f", claims {rota['claims']}" if rota["claims"] else ""
    say(escape(f"Version {rota['version']} of {clock(rota['at'])} by {rota['by']}: {rota['reason']}{claims}"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("level", "people", "hours", "days", "zone", "holidays"):
        table.add_column(column, no_wrap=column != "people")
    for shift in sorted(rota["shifts"], key=lambda one: one["level"]):
        days = " ".join(_DAYS[day] for day in shift["weekdays"])
        hours = f"{shift['begins']}-{shift['ends']}"
        holidays = f"{shift['holidays']} ({shift['country']})" if shift["country"] else "-"
        people = escape(", ".join(shift["people"]))
        table.add_row(str(shift["level"]), people, hours, days, shift["zone"], holidays)
    show_table(table, spare=("holidays",))
    for line in _rest(rota):
        say(escape(line))


def _rest(rota: Answer) -> Iterator[str]:
    for step in rota["steps"]:
        yield f"after {step['after_minutes']:g} min: level {step['level']}, from {step['least_severity']} on"
    for person in rota["people"]:
        yield f"{person['id']}: {_called(person)}"
    for one in rota["overrides"]:
        yield f"{one['id']}: {_override(one)}"


def _override(one: Answer) -> str:
    instead = f" for {one['replaces']}" if one["replaces"] else f" beside, level {one['level']}"
    return f"{one['person']}{instead}, {short_clock(one['from'])} until {clock(one['until'])}"


def _called(person: Answer) -> str:
    pager = f", PagerDuty {person['pagerduty']}" if person["pagerduty"] else ""
    return f"{person['name']} <{person['mail']}>{pager}"
