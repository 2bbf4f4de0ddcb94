"""`retention`: what is kept how long, what would go, and letting it go now."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.app import load_kinds
from invoicing.cli.database import database_of
from invoicing.cli.faults import NOT_REACHABLE, USAGE, Fault
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home
from invoicing.cli.output import ERRORS, OUT, emit
from invoicing.jobs import retention as ledger
from invoicing.jobs.kinds import Kinds
from invoicing.jobs.retention import MOST_COUNTED, KeepError, Rule
from invoicing.kit.db import is_away, make_engine, transaction
from invoicing.settings import read


@dataclass(frozen=True)
class Line:
    """What one rule keeps and what it lets go: due in a rehearsal, removed else."""

    what: str
    ended: str
    kept: str
    before: datetime
    count: int
    held: int = 0


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("retention", rich_help_panel="On this machine")(retention)


def retention(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Remove now what was kept long enough, as the watchdog does every hour, and show what is kept how long.

    Kinds say how long their finished jobs are kept; INVOICING_KEEP changes it within what they allow.

    Example: `invoicing retention --dry-run`
    """
    url = database_of(home)
    kinds = load_kinds(drills=True)
    try:
        rules = ledger.rules(kinds, read().keep)
    except KeepError as error:
        raise Fault(f"INVOICING_KEEP: {error}.", "Change the setting; nothing was removed.", USAGE) from error
    with ERRORS.status("looking ..." if dry_run else "removing ..."):
        lines, unruled = _run(url, partial(_looked if dry_run else _swept, rules=rules, kinds=kinds))
    if as_json:
        emit(document(lines, unruled, dry_run=dry_run))
    else:
        _tell(lines, unruled, dry_run=dry_run)


Found = tuple[Sequence[Line], Sequence[str]]


def _run(url: str, work: Callable[[AsyncEngine], Awaitable[Found]]) -> Found:
    async def run() -> Found:
        engine = make_engine(url, pool_size=1, overflow=0, name="invoicing-cli")
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    try:
        return asyncio.run(run())
    except Exception as error:
        if not is_away(error):
            raise
        raise Fault(f"The database does not answer: {error}.", "Run `invoicing doctor`.", NOT_REACHABLE) from error


async def _looked(engine: AsyncEngine, rules: Sequence[Rule], kinds: Kinds) -> Found:
    async with transaction(engine) as session:
        lines = [_line(rule, *(await ledger.due(session, rule))) for rule in rules]
        lines.append(Line("idempotency keys", "-", str(ledger.KEYS_KEPT), *(await ledger.due_keys(session))))
        lines.append(Line("messages", "-", str(ledger.MESSAGES_KEPT), *(await ledger.due_messages(session))))
        return lines, await ledger.unruled(session, kinds)


async def _swept(engine: AsyncEngine, rules: Sequence[Rule], kinds: Kinds) -> Found:
    found, unruled = await _looked(engine, rules, kinds)
    *of_rules, keys, messages = found
    lines = []
    for rule, line in zip(rules, of_rules, strict=True):
        steps = [step async for step in ledger.sweep(engine, rule)]
        removed, held = sum(step.removed for step in steps), sum(step.held for step in steps)
        lines.append(replace(line, count=removed, held=held))
    lines.append(replace(keys, count=sum([count async for count in ledger.sweep_keys(engine)])))
    lines.append(replace(messages, count=sum([count async for count in ledger.sweep_messages(engine)])))
    return lines, unruled


def _line(rule: Rule, before: datetime, count: int) -> Line:
    return Line(rule.kind.name, rule.ended.value, str(rule.period), before, count)


def document(lines: Sequence[Line], unruled: Sequence[str], *, dry_run: bool) -> dict[str, Any]:
    """Say it to a program; a count of what is due ends at a bound, which is told."""
    counted = "due" if dry_run else "removed"
    *rules, keys, messages = lines
    return {
        "dry_run": dry_run,
        "items": [
            {
                "kind": line.what,
                "ended": line.ended,
                "kept": line.kept,
                "before": line.before.isoformat(),
                counted: line.count,
                **({} if dry_run else {"held": line.held}),
            }
            for line in rules
        ],
        **{
            name: {"kept": line.kept, "before": line.before.isoformat(), counted: line.count}
            for name, line in (("idempotency_keys", keys), ("messages", messages))
        },
        "kept_without_a_kind": list(unruled),
        **({"counted_up_to": MOST_COUNTED} if dry_run else {}),
    }


def _tell(lines: Sequence[Line], unruled: Sequence[str], *, dry_run: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("what", "ended", "kept", "goes if it ended before"):
        table.add_column(column, no_wrap=True)
    for column in ("due",) if dry_run else ("removed", "held"):
        table.add_column(column, justify="right")
    for line in lines:
        count = f"{line.count:,}" + ("+" if dry_run and line.count >= MOST_COUNTED else "")
        counts = [count] if dry_run else [count, f"{line.held:,}"]
        table.add_row(line.what, line.ended, line.kept, f"{line.before:%Y-%m-%d %H:%M} UTC", *counts)
    OUT.print(table)
    if any(line.held for line in lines):
        OUT.print("Held: jobs with an invoice number that was given and not used; auditors will ask about it.")
    for kind in unruled:
        OUT.print(f"Kept: finished jobs of the kind {kind}, which nobody offers here.", markup=False)
