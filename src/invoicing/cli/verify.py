"""`verify`: reads a ledger through and says whether it can be so; after a restore above all."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.cli import schema
from invoicing.cli.database import database_of
from invoicing.cli.faults import NOT_REACHABLE, REFUSED, Fault
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home
from invoicing.cli.output import ERRORS, OUT, emit
from invoicing.invoices import verifying as books
from invoicing.jobs import verifying as ledger
from invoicing.jobs.model import State
from invoicing.jobs.model.history import Discrepancy
from invoicing.kit.db import is_away, make_engine

_MOST_TOLD = 1_000
"""Discrepancies that are told one by one; the rest is counted."""

Progressed = Callable[[int, int], None]
"""Is told how many jobs are checked, of about how many."""


@dataclass
class Verdict:
    """What was read, and what of it cannot be so."""

    revision: str
    jobs: Counter[State] = field(default_factory=Counter)
    files: int = 0
    bytes: int = 0
    invoices: int = 0
    series: int = 0
    last: list[books.Series] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    told: list[Discrepancy] = field(default_factory=list)

    def add(self, found: list[Discrepancy]) -> None:
        """Take in what was found."""
        self.codes.update(one.code for one in found)
        self.told += found[: _MOST_TOLD - len(self.told)]


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("verify", rich_help_panel="On this machine")(verify)


def verify(*, home: Home = DEFAULT_HOME, as_json: AsJson = False) -> None:
    """Read the whole ledger through and check it against itself; changes nothing, and the service may run meanwhile.

    Every file's bytes are its hash; every number series is without gaps and doubles; every job's timeline is a path
    through the state chart that ends in its state; nothing unfinished has lost its request; nothing speaks of a job
    that is not there. Exit code 0: all of it holds; 1: it does not, and standard output says where.

    Example: `INVOICING_DATABASE_URL=postgresql://invoicing@db/restored invoicing verify`
    """
    url = database_of(home)
    began = time.monotonic()
    with _shown() as progressed:
        verdict = _verified(url, progressed)
    took = time.monotonic() - began
    if as_json:
        emit(document(verdict, took))
    else:
        _tell(verdict, took)
    if verdict.codes:
        raise typer.Exit(REFUSED)


def _verified(url: str, progressed: Progressed) -> Verdict:
    try:
        return asyncio.run(check(url, _revision(url), progressed))
    except Exception as error:
        if not is_away(error):
            raise
        raise Fault(f"The database does not answer: {error}.", "Run `invoicing doctor`.", NOT_REACHABLE) from error


def _revision(url: str) -> str:
    """Insist on the tables that this release knows."""
    revision = asyncio.run(schema.current(url))
    if revision is None or revision != schema.newest():
        raise Fault(
            f"The ledger is at revision {revision or 'none'}, and this release checks {schema.newest()}.",
            "Run `invoicing migrate` on it first, or check it with the release that wrote it.",
        )
    return revision


async def check(url: str, revision: str, progressed: Progressed = lambda _done, _all: None) -> Verdict:
    """Check a ledger page by page, each in a short transaction of its own and as of one moment."""
    verdict = Verdict(revision)
    engine = make_engine(url, pool_size=1, overflow=0, name="invoicing-verify").execution_options(
        isolation_level="REPEATABLE READ", postgresql_readonly=True
    )
    try:
        await _check_jobs(engine, verdict, progressed)
        async with engine.connect() as session:
            async for one, found in books.series(session):
                verdict.series += 1
                verdict.last += [one] if verdict.series <= _MOST_TOLD else []
                verdict.add(found)
    finally:
        await engine.dispose()
    return verdict


async def _check_jobs(engine: AsyncEngine, verdict: Verdict, progressed: Progressed) -> None:
    async with engine.connect() as session:
        about = await ledger.about_how_many(session)
    after: UUID | None = ledger.FIRST
    while after is not None:
        async with engine.connect() as session:
            page = await ledger.check(session, after)
            invoices, found = await books.check(session, page.after, page.upto)
        after = page.goes_on
        verdict.jobs.update(page.states)
        verdict.files += page.files
        verdict.bytes += page.bytes
        verdict.invoices += invoices
        verdict.add(page.found + found)
        progressed(verdict.jobs.total(), about)


def document(verdict: Verdict, took_s: float) -> dict[str, Any]:
    """Say it to a program."""
    return {
        "holds": not verdict.codes,
        "revision": verdict.revision,
        "jobs": verdict.jobs.total(),
        "unfinished": ledger.unfinished(verdict.jobs),
        "files": verdict.files,
        "bytes": verdict.bytes,
        "invoices": verdict.invoices,
        "series": verdict.series,
        "discrepancies": dict(sorted(verdict.codes.items())),
        "told": [asdict(one) for one in verdict.told],
        "last_numbers": [
            {"customer_id": str(one.customer_id), "seller": one.seller, "series": one.series, "last": one.last}
            for one in verdict.last
        ],
        "took_s": round(took_s, 3),
    }


def _tell(verdict: Verdict, took_s: float) -> None:
    goes_on = ", ".join(f"{count:,} {state}" for state, count in ledger.unfinished(verdict.jobs).items()) or "none"
    jobs = f"{verdict.jobs.total():,} jobs (unfinished: {goes_on})"
    files = f"{verdict.files:,} files of {verdict.bytes / 1e6:,.1f} MB"
    invoices = f"{verdict.invoices:,} invoices in {verdict.series:,} series"
    OUT.print(f"Read {jobs}, {files}, {invoices}, in {took_s:.1f} s.", soft_wrap=True)
    if not verdict.codes:
        OUT.print("[green]All of it holds.[/]")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("found", "about", "what cannot be so"):
        table.add_column(column)
    for one in verdict.told:
        table.add_row(one.code, escape(one.about), escape(one.says))
    OUT.print(table)
    counted = ", ".join(f"{code}: {count:,}" for code, count in sorted(verdict.codes.items()))
    OUT.print(f"[bold red]It does not hold[/] ({counted}).", soft_wrap=True)


@contextmanager
def _shown() -> Iterator[Progressed]:
    """Show how far the check is, on a terminal."""
    if not ERRORS.is_terminal:
        yield lambda _done, _all: None
        return
    columns = (TextColumn("checking"), BarColumn(), TextColumn("{task.completed:,.0f} jobs"), TimeRemainingColumn())
    with Progress(*columns, console=ERRORS, transient=True) as bar:
        task = bar.add_task("check", total=None)
        yield lambda done, about: bar.update(task, completed=done, total=max(done, about))
