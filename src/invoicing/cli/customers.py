"""`customers`: who there is, and holding one of them."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.client import Answer, reach
from invoicing.cli.durations import an_end
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import emit, say, show_table
from invoicing.cli.wording import clock

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The customer's name in requests: acme.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    customers = typer.Typer(no_args_is_help=True, help="See customers, and pause or resume one.")
    customers.command("list")(list_customers)
    customers.command("show")(show)
    customers.command("pause")(pause)
    customers.command("resume")(resume)
    app.add_typer(customers, name="customers", rich_help_panel="A running service")


def list_customers(*, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List the customers, the oldest first, with what each may have, and who is paused (admin).

    Example: `invoicing customers list`
    """
    with reach(home, url, key, "admin") as service:
        found = service.get("/v1/admin/customers")
    if as_json:
        emit(found)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("customer", "name", "weight", "may run", "may wait", "paused"):
        table.add_column(column, no_wrap=column == "customer")
    for one in found["items"]:
        caps = (str(one[name] or "-") for name in ("max_running", "max_waiting"))
        table.add_row(escape(one["slug"]), escape(one["name"]), f"{one['weight']:g}", *caps, escape(_paused(one)))
    show_table(table, spare=("weight", "may wait", "name"))


def show(slug: Slug, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Say whether a customer is paused, and how many of its jobs wait and run (ops, admin).

    Example: `invoicing customers show acme`
    """
    with reach(home, url, key, "ops") as service:
        found = service.get(f"/v1/admin/customers/{slug}")
    _tell(found, as_json=as_json)


def pause(
    slug: Slug,
    reason: Annotated[str, typer.Option(help="Why: the customer is told.")],
    until: Annotated[str | None, typer.Option(help="When it goes on by itself: a time in RFC 3339.")] = None,
    duration: Annotated[str | None, typer.Option("--for", help="Or for how long: 15m, 2h.")] = None,
    *,
    dry_run: DryRun = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Let no further job of a customer start; what runs goes on, others are not touched, and it ends by itself.

    Example: `invoicing customers pause acme --for 30m --reason "your program sends every request again and again"`
    """
    end = an_end(until, duration)
    body = {"until": end.isoformat(), "reason": reason}
    with reach(home, url, key, "ops") as service:
        found = service.post(f"/v1/admin/customers/{slug}:pause", body, dry_run=_flag(dry_run=dry_run))
    _tell(found, as_json=as_json)


def resume(
    slug: Slug,
    reason: Annotated[str, typer.Option(help="Why: it goes on the audit.")],
    *,
    dry_run: DryRun = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Let a paused customer go on.

    Example: `invoicing customers resume acme --reason "their program is repaired"`
    """
    with reach(home, url, key, "ops") as service:
        path = f"/v1/admin/customers/{slug}:resume"
        found = service.post(path, {"reason": reason}, dry_run=_flag(dry_run=dry_run))
    _tell(found, as_json=as_json)


def _flag(*, dry_run: bool) -> str | None:
    return "true" if dry_run else None


def _paused(customer: Answer) -> str:
    paused = customer["paused"]
    return f"until {clock(paused['until'])} by {paused['by']}: {paused['reason']}" if paused else ""


def _tell(customer: Answer, *, as_json: bool) -> None:
    if as_json:
        emit(customer)
        return
    would = "would be " if customer["dry_run"] else ""
    held = f"paused {_paused(customer)}" if customer["paused"] else "not paused"
    say(escape(f"{customer['customer']}: {would}{held}"))
    say(f"{customer['waiting']} of its jobs wait, {customer['running']} run.")
