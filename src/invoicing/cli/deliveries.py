"""What was sent to an address of any sort, as tables and sentences tell it."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from invoicing.cli.client import Answer, Service
from invoicing.cli.faults import USAGE, Fault
from invoicing.cli.output import emit, say, show_table
from invoicing.cli.wording import clock, short_clock

SHORT = 12
"""How much of an id's end the tables show: its beginning is the time, and much the same for all of one day."""


UNTRIED = "nobody has tried yet; is a watchdog running?"


def meant(service: Service, text: str, noun: str, name: str) -> Answer:
    """Find which of the caller's addresses is meant, by its name (a field) or by the end of its id."""
    known: list[Answer] = service.get(f"/v1/{noun}")["items"]
    by_name = [one for one in known if text == one[name]]
    found = by_name or [one for one in known if len(text) >= SHORT and one["id"].endswith(text.lower())]
    if len(found) != 1:
        many = f"{len(found)} {noun} are" if found else f"None of your {noun} is"
        raise Fault(f"{many} meant by {text!r}.", f"See `invoicing {noun} list`.", USAGE)
    return found[0]


def status(one: Answer) -> str:
    """Say how it takes what it is sent."""
    if one["status"] == "failing":
        held = f", held until {clock(one['held_until'])}" if one["held_until"] else ""
        return f"failing ({one['failures']} in a row{held})"
    return str(one["status"])


def show(rows: Sequence[Answer], about: str) -> None:
    """Show messages with their last attempts; `about` names what each is about: a job, an incident."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "written", "type", about, "state", "attempts", "last"):
        table.add_column(column, no_wrap=column != "last")
    for row in rows:
        subject = row[f"{about}_id"]
        short = subject[-SHORT:] if subject else "-"
        tries = str(len(row["attempts"]))
        words = short_clock(row["created_at"]), row["type"], short, _standing(row), tries, last(row)
        table.add_row(row["id"], *map(escape, words))
    show_table(table, spare=("attempts", "written", "type"))


def tell_sent(sent: Answer, noun: str, *, as_json: bool) -> None:
    """Say that a message is under way, and where to see how it went."""
    if as_json:
        emit(sent)
    else:
        say(escape(f"{sent['id']} ({sent['type']}) is being sent; `invoicing {noun} deliveries` shows how it went."))


def last(row: Answer) -> str:
    """Say how its last attempt went."""
    if not row["attempts"]:
        return UNTRIED
    tried = row["attempts"][-1]
    return str(tried["explanation"] or tried["outcome"] or "under way")


def _standing(row: Answer) -> str:
    again = row["next_attempt_at"]
    return f"waiting, again {short_clock(again)}" if again else str(row["state"])
