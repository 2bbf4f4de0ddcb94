"""`mails`: list, add, confirm and remove mail addresses; their deliveries listed and resent."""

from typing import Annotated
from uuid import uuid4

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.client import reach
from invoicing.cli.deliveries import SHORT, meant, show, status, tell_sent
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import emit, say, show_table
from invoicing.outbox.letters import Language
from invoicing.outbox.model import WebhookEvent

Mail = Annotated[
    str, typer.Argument(metavar="MAIL", help="The address, its id, or the end of its id, as `mails list` shows it.")
]


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    mails = typer.Typer(
        help="Have a mail address told when a job has ended.", no_args_is_help=True, rich_markup_mode="markdown"
    )
    mails.command("list")(list_mails)
    mails.command("add")(add)
    mails.command("confirm")(confirm)
    mails.command("send-code")(send_code)
    mails.command("remove")(remove)
    mails.command("deliveries")(deliveries)
    mails.command("resend")(resend)
    app.add_typer(mails, name="mails", rich_help_panel="A running service")


def list_mails(*, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List your mail addresses.

    Example: `invoicing mails list`
    """
    with reach(home, url, key) as service:
        found = service.get("/v1/mails")
    if as_json:
        emit(found)
        return
    if not found["items"]:
        say("No mail address is told anything. Add one: `invoicing mails add billing@example.com`.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "address", "language", "events", "status"):
        table.add_column(column, no_wrap=column == "id")
    for one in found["items"]:
        words = one["address"], one["language"], " ".join(one["events"]), status(one)
        table.add_row(one["id"][-SHORT:], *map(escape, words))
    show_table(table, spare=("language",))


def add(
    address: Annotated[str, typer.Argument(help="It is sent a code, and nothing else before you confirm it.")],
    event: Annotated[
        list[str] | None,
        typer.Option(help=f"Only this event (repeat for more): {', '.join(WebhookEvent)}."),
    ] = None,
    language: Annotated[Language, typer.Option(help="What its mails are written in.")] = Language.ENGLISH,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Add a mail address; it is sent a code to confirm it by.

    Example: `invoicing mails add billing@example.com --language de`
    """
    body = {"address": address, "language": language} | ({"events": event} if event else {})
    with reach(home, url, key) as service:
        made = service.create("/v1/mails", body, str(uuid4()))
    if as_json:
        emit(made)
    else:
        say(escape(f"{made['address']} is being sent a code. Then: `invoicing mails confirm {made['address']} CODE`."))


def confirm(
    mail: Mail,
    code: Annotated[str, typer.Argument(help="What the mail says.")],
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Confirm a mail address by the code that it was sent.

    Example: `invoicing mails confirm billing@example.com K7QW2MXB`
    """
    with reach(home, url, key) as service:
        one = service.post(f"/v1/mails/{meant(service, mail, 'mails', 'address')['id']}:confirm", {"code": code})
    if as_json:
        emit(one)
    else:
        say(escape(f"{one['address']} is confirmed: it is told of {', '.join(one['events'])}."))


def send_code(
    mail: Mail, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Have a new code sent; the one before is void.

    Example: `invoicing mails send-code billing@example.com`
    """
    with reach(home, url, key) as service:
        one = service.post(f"/v1/mails/{meant(service, mail, 'mails', 'address')['id']}:send-code")
    if as_json:
        emit(one)
    else:
        say(escape(f"{one['address']} is being sent another code; the one before is void."))


def remove(mail: Mail, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Remove a mail address; it is sent nothing more, not even what waits.

    Example: `invoicing mails remove billing@example.com`
    """
    with reach(home, url, key) as service:
        one = meant(service, mail, "mails", "address")
        service.delete(f"/v1/mails/{one['id']}")
    if as_json:
        emit({"removed": one["id"]})
    else:
        say(escape(f"Removed {one['address']}."))


def deliveries(
    mail: Mail,
    state: Annotated[str | None, typer.Option(help="Only these: waiting, delivered or dead.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many, the newest first.")] = 20,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show what was sent to a mail address, with every attempt.

    Example: `invoicing mails deliveries billing@example.com --state dead`
    """
    with reach(home, url, key) as service:
        one = meant(service, mail, "mails", "address")
        found = service.get(f"/v1/mails/{one['id']}/deliveries", state=state, page_size=limit)
    if as_json:
        emit(found)
    else:
        show(found["items"], "job")


def resend(
    mail: Mail,
    delivery: Annotated[str, typer.Argument(metavar="ID", help="The whole id, as `mails deliveries` shows it.")],
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Send a mail once more, under the same Message-ID.

    Example: `invoicing mails resend billing@example.com 01a2013d-0f08-7b48-a650-270387a8071a`
    """
    with reach(home, url, key) as service:
        one = meant(service, mail, "mails", "address")
        sent = service.post(f"/v1/mails/{one['id']}/deliveries/{delivery}:resend")
    tell_sent(sent, "mails", as_json=as_json)
