"""`webhooks`: list, add, remove, test, enable them and rotate their secrets; their deliveries listed and resent."""

from typing import Annotated
from uuid import uuid4

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.client import Answer, reach
from invoicing.cli.deliveries import SHORT, meant, show, status, tell_sent
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import ERRORS, emit, say, show_table
from invoicing.cli.wording import clock
from invoicing.outbox.model import WebhookEvent

Webhook = Annotated[
    str, typer.Argument(metavar="WEBHOOK", help="Its URL, its id, or the end of its id, as `webhooks list` shows it.")
]


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    webhooks = typer.Typer(
        help="Have an address told when a job has ended.", no_args_is_help=True, rich_markup_mode="markdown"
    )
    webhooks.command("list")(list_webhooks)
    webhooks.command("add")(add)
    webhooks.command("remove")(remove)
    webhooks.command("deliveries")(deliveries)
    webhooks.command("resend")(resend)
    webhooks.command("test")(try_out)
    webhooks.command("enable")(enable)
    webhooks.command("rotate-secret")(rotate_secret)
    app.add_typer(webhooks, name="webhooks", rich_help_panel="A running service")


def list_webhooks(*, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List your webhooks, without their secrets.

    Example: `invoicing webhooks list`
    """
    with reach(home, url, key) as service:
        found = service.get("/v1/webhooks")
    if as_json:
        emit(found)
        return
    if not found["items"]:
        say("You have no webhooks. Add one: `invoicing webhooks add https://example.com/hooks/invoicing`.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "url", "events", "status", "description"):
        table.add_column(column, no_wrap=column == "id")
    for one in found["items"]:
        events = " ".join(one["events"]) if one["events"] else "all"
        words = one["url"], events, _status(one), one["description"] or "-"
        table.add_row(one["id"][-SHORT:], *map(escape, words))
    show_table(table, spare=("description", "events"))


def add(
    address: Annotated[str, typer.Argument(metavar="URL", help="Where to send messages: https, publicly reachable.")],
    event: Annotated[
        list[str] | None,
        typer.Option(help=f"Only this event (repeat for more): {', '.join(WebhookEvent)}."),
    ] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Add a webhook and print its secret, this once.

    Example: `invoicing webhooks add https://example.com/hooks/invoicing --event job.succeeded --event job.dead`
    """
    wish = {"url": address, "events": event or None, "description": description}
    body = {name: value for name, value in wish.items() if value is not None}
    with reach(home, url, key) as service:
        made = service.create("/v1/webhooks", body, str(uuid4()))
    _tell_secret(made, as_json=as_json)


def remove(
    webhook: Webhook, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Remove a webhook; it is sent nothing more, not even what waits.

    Example: `invoicing webhooks remove https://example.com/hooks/invoicing`
    """
    with reach(home, url, key) as service:
        one = meant(service, webhook, "webhooks", "url")
        service.delete(f"/v1/webhooks/{one['id']}")
    if as_json:
        emit({"removed": one["id"]})
    else:
        say(escape(f"Removed {one['url']}."))


def deliveries(
    webhook: Webhook,
    state: Annotated[str | None, typer.Option(help="Only these: waiting, delivered or dead.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many, the newest first.")] = 20,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show what was sent to a webhook, with every attempt.

    Example: `invoicing webhooks deliveries https://example.com/hooks/invoicing --state dead`
    """
    with reach(home, url, key) as service:
        one = meant(service, webhook, "webhooks", "url")
        found = service.get(f"/v1/webhooks/{one['id']}/deliveries", state=state, page_size=limit)
    if as_json:
        emit(found)
        return
    show(found["items"], "job")


def resend(
    webhook: Webhook,
    delivery: Annotated[str, typer.Argument(metavar="ID", help="The whole id, as `webhooks deliveries` shows it.")],
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Send a message once more, under the same id, whatever became of it before.

    Example: `invoicing webhooks resend https://example.com/hooks/invoicing 01a2013d-0f08-7b48-a650-270387a8071a`
    """
    with reach(home, url, key) as service:
        one = meant(service, webhook, "webhooks", "url")
        sent = service.post(f"/v1/webhooks/{one['id']}/deliveries/{delivery}:resend")
    tell_sent(sent, "webhooks", as_json=as_json)


def try_out(
    webhook: Webhook, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Send a test message, signed as all others are.

    Example: `invoicing webhooks test https://example.com/hooks/invoicing`
    """
    with reach(home, url, key) as service:
        one = meant(service, webhook, "webhooks", "url")
        sent = service.post(f"/v1/webhooks/{one['id']}:test")
    tell_sent(sent, "webhooks", as_json=as_json)


def enable(
    webhook: Webhook, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Let a webhook have messages again that answered 410, or that failed and is well again.

    Example: `invoicing webhooks enable https://example.com/hooks/invoicing`
    """
    with reach(home, url, key) as service:
        one = service.post(f"/v1/webhooks/{meant(service, webhook, 'webhooks', 'url')['id']}:enable")
    if as_json:
        emit(one)
    else:
        say(escape(f"{one['url']} has messages again; what waited is being sent."))


def rotate_secret(
    webhook: Webhook, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Give a webhook a new secret and print it; the old one signs beside it for 24 hours.

    Example: `invoicing webhooks rotate-secret https://example.com/hooks/invoicing`
    """
    with reach(home, url, key) as service:
        made = service.post(f"/v1/webhooks/{meant(service, webhook, 'webhooks', 'url')['id']}:rotate-secret")
    _tell_secret(made, as_json=as_json)


def _status(one: Answer) -> str:
    if one["disabled"]:
        return f"disabled since {clock(one['disabled']['since'])}: {one['disabled']['why']}"
    return status(one)


def _tell_secret(made: Answer, *, as_json: bool) -> None:
    if as_json:
        emit(made)
        return
    say(str(made["secret"]))
    ERRORS.print(f"The secret of {escape(made['url'])}. Keep it now: it is not shown again.", soft_wrap=True)
