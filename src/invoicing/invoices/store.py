"""Statements about numbers, issued invoices and the chunks of large ones; all run inside a fenced step."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from invoicing.invoices.tables import invoice_chunks, invoices
from invoicing.kit.db import Session

_NEXT = text("""
INSERT INTO number_series (customer_id, seller, series, last) VALUES (:customer_id, :seller, :series, 1)
ON CONFLICT (customer_id, seller, series) DO UPDATE SET last = number_series.last + 1 RETURNING last
""")


# What was issued goes; a number that never became an invoice stays with its job, for auditors to ask about. The rows of
# the series are locked in order, so that two who remove cannot wait for each other.
_REMOVE = text("""
WITH gone AS (
    DELETE FROM invoices WHERE job_id = ANY(CAST(:ids AS uuid[])) AND issued_at IS NOT NULL
    RETURNING customer_id, seller, series
), counted AS (
    SELECT customer_id, seller, series, count(*) AS invoices FROM gone GROUP BY customer_id, seller, series
), locked AS MATERIALIZED (
    SELECT n.customer_id, n.seller, n.series, invoices
    FROM number_series AS n JOIN counted USING (customer_id, seller, series)
    ORDER BY n.customer_id, n.seller, n.series FOR UPDATE OF n
), noted AS (
    UPDATE number_series AS n SET removed = n.removed + locked.invoices FROM locked
    WHERE (n.customer_id, n.seller, n.series) = (locked.customer_id, locked.seller, locked.series)
)
SELECT job_id FROM invoices WHERE job_id = ANY(CAST(:ids AS uuid[])) AND issued_at IS NULL
""")


@dataclass(frozen=True)
class Numbering:
    """What an invoice is numbered under, and what is kept of it beside its files."""

    job_id: UUID
    customer_id: UUID
    seller: str
    series: str
    type: str
    currency: str
    payable: Decimal
    preceding_number: str | None
    rules: Mapping[str, str]
    """The rules that judged it, by name and version: judged first, numbered then."""


@dataclass(frozen=True)
class Chunk:
    """A finished chunk of a large invoice: how many lines, and their sums as JSON."""

    part: int
    lines: int
    sums: Mapping[str, Any]
    months: Mapping[str, Any]


async def number_of(session: Session, job_id: UUID) -> str | None:
    """Read the number that a job's invoice was given by an earlier attempt."""
    number: str | None = await session.scalar(select(invoices.c.number).where(invoices.c.job_id == job_id))
    return number


async def next_in_series(session: Session, numbering: Numbering) -> int:
    """Take the next number of a series under its row's lock; a rollback gives it back, so there are no gaps."""
    taken = await session.scalar(
        _NEXT,
        {"customer_id": numbering.customer_id, "seller": numbering.seller, "series": numbering.series},
    )
    if not isinstance(taken, int):
        raise TypeError("the series gave no number")
    return taken


async def add_invoice(session: Session, numbering: Numbering, sequence: int, number: str) -> None:
    """Keep the number on the invoice; from here every attempt uses this one."""
    await session.execute(
        insert(invoices).values(
            job_id=numbering.job_id,
            customer_id=numbering.customer_id,
            seller=numbering.seller,
            series=numbering.series,
            sequence=sequence,
            number=number,
            type=numbering.type,
            currency=numbering.currency,
            payable=numbering.payable,
            preceding_number=numbering.preceding_number,
            rules=dict(numbering.rules),
        )
    )


async def mark_issued(session: Session, job_id: UUID) -> None:
    """Declare a numbered invoice issued."""
    await session.execute(
        update(invoices).where(invoices.c.job_id == job_id, invoices.c.issued_at.is_(None)).values(issued_at=func.now())
    )


async def remove_issued(session: Session, job_ids: Sequence[UUID]) -> Collection[UUID]:
    """Remove issued invoices of jobs and note in their series how many; gives the jobs with a number that was not used.

    The series goes on behind its last number: no number is given a second time, however long ago its invoice went.
    """
    return list((await session.execute(_REMOVE, {"ids": list(job_ids)})).scalars())


async def add_chunk(session: Session, job_id: UUID, chunk: Chunk) -> None:
    """Keep a finished chunk; an attempt that makes it again changes nothing."""
    await session.execute(
        insert(invoice_chunks)
        .values(job_id=job_id, part=chunk.part, lines=chunk.lines, sums=dict(chunk.sums), months=dict(chunk.months))
        .on_conflict_do_nothing()
    )


async def chunks_of(session: Session, job_id: UUID) -> list[Chunk]:
    """List the finished chunks of a large invoice, in order."""
    rows = await session.execute(
        select(invoice_chunks.c.part, invoice_chunks.c.lines, invoice_chunks.c.sums, invoice_chunks.c.months)
        .where(invoice_chunks.c.job_id == job_id)
        .order_by(invoice_chunks.c.part)
    )
    return [Chunk(row.part, row.lines, row.sums, row.months) for row in rows]
