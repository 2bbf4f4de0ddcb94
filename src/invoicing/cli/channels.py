"""`channels`: where alerts go: list, add, remove, test them; their deliveries listed and resent."""

import sys
from typing import Annotated
from uuid import uuid4

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.alerts.model import ChannelKind, Severity
from invoicing.cli.client import reach
from invoicing.cli.deliveries import SHORT, last, meant, show, status, tell_sent
from invoicing.cli.faults import REFUSED, Fault
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import ERRORS, emit, say, show_table

Channel = Annotated[
    str, typer.Argument(metavar="CHANNEL", help="Its name, its id, or the end of its id, as `channels list` shows it.")
]

_FIELDS = {
    ChannelKind.ALERTMANAGER: "url",
    ChannelKind.PAGERDUTY: "routing_key",
    ChannelKind.WEBHOOK: "url",
    ChannelKind.MAIL: "address",
    ChannelKind.CHAT: "url",
}


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    channels = typer.Typer(help="Where alerts go (ops).", no_args_is_help=True, rich_markup_mode="markdown")
    channels.command("list")(list_channels)
    channels.command("add")(add)
    channels.command("remove")(remove)
    channels.command("test")(try_out)
    channels.command("trust")(trust)
    channels.command("deliveries")(deliveries)
    channels.command("resend")(resend)
    app.add_typer(channels, name="channels", rich_help_panel="A running service")


def list_channels(*, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List where alerts go, without secrets.

    Example: `invoicing channels list`
    """
    with reach(home, url, key, "ops") as service:
        found = service.get("/v1/channels")
    if as_json:
        emit(found)
        return
    if not found["items"]:
        say("Nobody is told of incidents. Add a channel: `invoicing channels add mail 'on call' oncall@example.com`.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "name", "kind", "target", "from", "status"):
        table.add_column(column, no_wrap=column == "id")
    for one in found["items"]:
        words = one["name"], one["kind"], one["target"], one["least_severity"], status(one)
        table.add_row(one["id"][-SHORT:], *map(escape, words))
    show_table(table, spare=("kind", "from"))


def add(
    kind: Annotated[ChannelKind, typer.Argument(help="What it leads to.")],
    name: Annotated[str, typer.Argument(help="What to call it; each name once.")],
    target: Annotated[
        str,
        typer.Argument(
            help="URL of an Alertmanager or a webhook, mail address, integration key of PagerDuty, or URL of Apprise; "
            "`-` reads it from standard input, so that no list of processes shows it."
        ),
    ],
    least: Annotated[Severity, typer.Option(help="Tell it of incidents at least so bad.")] = Severity.S4,
    webhook_secret: Annotated[
        str | None, typer.Option(help="PagerDuty: what its V3 webhook to us signs with; `-` as above.")
    ] = None,
    region_url: Annotated[
        str | None, typer.Option(help="PagerDuty: where events go, for another region than the usual.")
    ] = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Add a channel; of a webhook the secret is printed, this once.

    Example: `invoicing channels add pagerduty 'night shift' - --least S2 < integration-key`
    """
    wish = {"kind": kind, "name": name, "least_severity": least, _FIELDS[kind]: _read(target)}
    if webhook_secret is not None:
        wish["webhook_secret"] = _read(webhook_secret)
    if region_url is not None:
        wish["url"] = region_url
    with reach(home, url, key, "ops") as service:
        made = service.create("/v1/channels", wish, str(uuid4()))
    if as_json:
        emit(made)
    elif made["secret"]:
        say(str(made["secret"]))
        ERRORS.print(f"The secret of {escape(made['name'])}. Keep it now: it is not shown again.", soft_wrap=True)
    else:
        say(escape(f"Added {made['name']}. `invoicing channels test {made['id'][-SHORT:]}` shows whether it works."))


def remove(
    channel: Channel, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Remove a channel; it is told nothing more, not even what waits.

    Example: `invoicing channels remove 'night shift'`
    """
    with reach(home, url, key, "ops") as service:
        one = meant(service, channel, "channels", "name")
        service.delete(f"/v1/channels/{one['id']}")
    if as_json:
        emit({"removed": one["id"]})
    else:
        say(escape(f"Removed {one['name']}."))


def try_out(
    channel: Channel,
    wait: Annotated[int, typer.Option(min=0, max=25, help="Seconds to wait for it to arrive.")] = 10,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Send a test the way that alerts take, and say what came of it.

    Example: `invoicing channels test 'night shift'`
    """
    with reach(home, url, key, "ops") as service:
        one = meant(service, channel, "channels", "name")
        came = service.await_(f"/v1/channels/{one['id']}:test", wait)
    if as_json:
        emit(came)
    elif came["arrived"]:
        say(escape(f"{one['name']} has taken it."))
    if not came["arrived"]:
        raise Fault(
            f"It did not arrive: {last(came['deliveries'][0])}", "See `invoicing channels deliveries`.", REFUSED
        )


def trust(
    channel: Channel,
    secret: Annotated[str, typer.Argument(help="What PagerDuty shows; `-` reads it from standard input.")],
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Let acknowledgements come back from PagerDuty that its webhook V3 to us signs with a secret.

    Example: `invoicing channels trust 'night shift' - < secret`
    """
    with reach(home, url, key, "ops") as service:
        one = meant(service, channel, "channels", "name")
        trusted = service.post(f"/v1/channels/{one['id']}:trust", {"webhook_secret": _read(secret)})
    if as_json:
        emit(trusted)
    else:
        say(escape(f"Acknowledgements come back from {trusted['name']}: POST /v1/channels/{trusted['id']}/pagerduty"))


def deliveries(
    channel: Channel,
    state: Annotated[str | None, typer.Option(help="Only these: waiting, delivered or dead.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many, the newest first.")] = 20,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show what was sent to a channel, with every attempt.

    Example: `invoicing channels deliveries 'night shift' --state dead`
    """
    with reach(home, url, key, "ops") as service:
        one = meant(service, channel, "channels", "name")
        found = service.get(f"/v1/channels/{one['id']}/deliveries", state=state, page_size=limit)
    if as_json:
        emit(found)
        return
    show(found["items"], "incident")


def resend(
    channel: Channel,
    delivery: Annotated[str, typer.Argument(metavar="ID", help="The whole id, as `channels deliveries` shows it.")],
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Send the last message of an incident once more.

    Example: `invoicing channels resend 'night shift' 01a2013d-0f08-7b48-a650-270387a8071a`
    """
    with reach(home, url, key, "ops") as service:
        one = meant(service, channel, "channels", "name")
        sent = service.post(f"/v1/channels/{one['id']}/deliveries/{delivery}:resend")
    tell_sent(sent, "channels", as_json=as_json)


def _read(text: str) -> str:
    return sys.stdin.readline().strip() if text == "-" else text
