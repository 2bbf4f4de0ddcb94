"""`keys create | list | revoke`: directly on the database, so that a lost admin's key locks nobody out."""

import getpass
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.database import database_of, in_transaction
from invoicing.cli.durations import a_duration
from invoicing.cli.faults import Fault
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home
from invoicing.cli.output import ERRORS, emit, say, show_table
from invoicing.cli.wording import span
from invoicing.customers import service as customers
from invoicing.customers.model import KeyRecord, Role
from invoicing.kit.clock import now
from invoicing.kit.db import Session


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    keys = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True, rich_markup_mode="markdown")
    keys.command("create")(create)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke)
    app.add_typer(keys, name="keys", rich_help_panel="A running service")


def create(
    role: Annotated[Role, typer.Option(help="What the key may do.")],
    label: Annotated[str, typer.Option(help="Who or what will use it.")],
    customer: Annotated[str | None, typer.Option(metavar="SLUG", help="For the role customer: whose jobs.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="DURATION", help="Works for so long: 90d.")] = None,
    *,
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept.

    Example: `invoicing keys create --role customer --customer acme --label "web shop" --expires 90d`
    """
    until = None if expires is None else now() + a_duration("--expires", expires)

    async def make(session: Session) -> str:
        owner = await customers.owner_of_key(session, role, customer)
        return await customers.create_key(session, role, label, owner.id if owner else None, until)

    key = in_transaction(database_of(home), make)
    if as_json:
        emit({"key": key, "role": role, "label": label, "customer": customer, "expires_at": until})
        return
    say(key)
    ERRORS.print("Keep it now: it is not shown again. Use it as `Authorization: Bearer KEY`, or set INVOICING_KEY.")


def list_keys(*, home: Home = DEFAULT_HOME, as_json: AsJson = False) -> None:
    """List the keys, without the keys themselves.

    Example: `invoicing keys list`
    """
    found = in_transaction(database_of(home), customers.all_keys)
    if as_json:
        emit({"items": [{**asdict(one), "condition": _condition(one)} for one in found]})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "begins with", "role", "customer", "label", "created", "condition"):
        table.add_column(column, no_wrap=True)
    for one in found:
        created = f"{one.created_at.astimezone():%Y-%m-%d}"
        words = str(one.id), one.hint, one.role, one.customer or "-", escape(one.label), created, _condition(one)
        table.add_row(*words)
    show_table(table, spare=("created", "id"))


def revoke(
    key: Annotated[
        str, typer.Argument(metavar="ID", help="The id, or what the key begins with, as `keys list` shows.")
    ],
    *,
    home: Home = DEFAULT_HOME,
) -> None:
    """Revoke a key; web processes stop believing it within 30 seconds.

    Example: `invoicing keys revoke inv_customer_x7Qp`
    """
    actor = f"command line: {getpass.getuser()}"

    async def end(session: Session) -> KeyRecord:
        one = _meant(key, await customers.all_keys(session))
        if not await customers.revoke_key(session, one.id, actor):
            raise Fault(f"The key {one.hint} was revoked before.")
        return one

    one = in_transaction(database_of(home), end)
    within = span(customers.REMEMBERED.total_seconds())
    say(f"Revoked {one.hint} ({one.role}, {escape(one.label)}); it stops working within {within}.")


def _meant(text: str, known: Sequence[KeyRecord]) -> KeyRecord:
    try:
        found = [one for one in known if one.id == UUID(text)]
    except ValueError:
        found = [one for one in known if one.hint == text or text.startswith(one.hint)]
    if len(found) != 1:
        raise Fault(
            f"{'No key is' if not found else f'{len(found)} keys are'} meant by that.", "See `invoicing keys list`."
        )
    return found[0]


def _condition(one: KeyRecord) -> str:
    if one.revoked_at is not None:
        return f"revoked {one.revoked_at.astimezone():%Y-%m-%d %H:%M %Z}"
    if one.expires_at is None:
        return "works"
    return f"{'expired' if one.expires_at <= now() else 'works until'} {one.expires_at.astimezone():%Y-%m-%d %H:%M %Z}"
