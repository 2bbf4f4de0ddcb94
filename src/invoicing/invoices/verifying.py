"""Checking the books of invoices against themselves and against their jobs: series without gaps or doubles."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from invoicing.jobs.model.history import Discrepancy
from invoicing.kit.db import Session

_FEW = 20
"""Numbers of a series that are named; the rest is counted."""

_SERIES = text("""
SELECT customer_id, seller, series, coalesce(n.last, 0) AS last, coalesce(n.removed, 0) AS removed,
    coalesce(i.invoices, 0) AS invoices, coalesce(i.sequences, 0) AS sequences, coalesce(i.numbers, 0) AS numbers,
    coalesce(i.highest, 0) AS highest
FROM number_series AS n FULL JOIN (
    SELECT customer_id, seller, series, count(*) AS invoices, count(DISTINCT sequence) AS sequences,
        count(DISTINCT number) AS numbers, max(sequence) AS highest
    FROM invoices GROUP BY customer_id, seller, series
) AS i USING (customer_id, seller, series)
ORDER BY customer_id, seller, series
""")

_MISSING = text("""
SELECT before + 1 AS first, sequence - 1 AS last FROM (
    SELECT sequence, lag(sequence, 1, 0::bigint) OVER (ORDER BY sequence) AS before FROM (
        SELECT sequence FROM invoices WHERE customer_id = :customer_id AND seller = :seller AND series = :series
        UNION ALL SELECT CAST(:last AS bigint) + 1
    ) AS held
) AS steps WHERE sequence > before + 1 ORDER BY sequence LIMIT :few
""")

# The job's own row is asked whether it succeeded, and its result which number it told the customer.
_INVOICES = text("""
SELECT i.job_id, i.number, i.sequence, i.series, i.issued_at IS NOT NULL AS issued, j.state,
    j.result ->> 'number' AS told,
    EXISTS (SELECT FROM artifacts AS a WHERE a.job_id = i.job_id AND a.complete) AS has_files
FROM invoices AS i LEFT JOIN jobs AS j ON j.id = i.job_id WHERE i.job_id > :after AND i.job_id <= :upto
""")

_UNKNOWN = text("""
SELECT id, result ->> 'number' AS told FROM jobs
WHERE id > :after AND id <= :upto AND kind = 'invoice.issue' AND state = 'succeeded'
  AND NOT EXISTS (SELECT FROM invoices WHERE job_id = jobs.id)
""")

_FINISHED_WITHOUT = frozenset({"dead", "cancelled"})


@dataclass(frozen=True)
class Series:
    """A series of numbers as it is found."""

    customer_id: UUID
    seller: str
    series: str
    last: int
    removed: int
    invoices: int
    sequences: int
    numbers: int
    highest: int

    @property
    def about(self) -> str:
        """Name it."""
        return f"series {self.series} of {self.seller} (customer {self.customer_id})"


async def series(session: Session) -> AsyncIterator[tuple[Series, list[Discrepancy]]]:
    """Check every series: all numbers up to its last one are there, or noted as removed, and none is there twice."""
    for row in (await session.execute(_SERIES)).mappings().all():
        one = Series(**row)
        found = []
        if one.sequences < one.invoices or one.numbers < one.invoices:
            twice = one.invoices - min(one.sequences, one.numbers)
            found.append(Discrepancy("number_twice", one.about, f"{twice} of its invoices have a number of another."))
        if one.highest > one.last:
            says = f"Its last number is {one.last}, and it holds {one.highest}: that would be given again."
            found.append(Discrepancy("series_behind", one.about, says))
        if one.last - one.removed != one.sequences and one.highest <= one.last:
            found.append(Discrepancy("number_gap", one.about, await _gap(session, one)))
        yield one, found


async def _gap(session: Session, one: Series) -> str:
    asked = {"customer_id": one.customer_id, "seller": one.seller, "series": one.series, "last": one.last, "few": _FEW}
    rows = (await session.execute(_MISSING, asked)).all()
    spans = [str(row.first) if row.first == row.last else f"{row.first}-{row.last}" for row in rows]
    return (
        f"Its last number is {one.last}, {one.sequences} invoices are there and {one.removed} were removed after their "
        f"time. Not there: {', '.join(spans) or 'none'}."
    )


async def check(session: Session, after: UUID, upto: UUID) -> tuple[int, list[Discrepancy]]:
    """Check the invoices of a range of jobs against these; gives how many there are."""
    asked = {"after": after, "upto": upto}
    rows = (await session.execute(_INVOICES, asked)).all()
    found = [
        Discrepancy(code, f"job {row.job_id}", says)
        for row in rows
        for code, says in _faults(row.number, row.state, row.told, issued=row.issued, has_files=row.has_files)
    ]
    found += [
        Discrepancy(
            "number_misread", f"job {row.job_id}", f"Its number {row.number} is not {row.sequence} of its series."
        )
        for row in rows
        if row.number != f"{row.series}-{row.sequence:06d}"
    ]
    found += [
        Discrepancy("invoice_lost", f"job {row.id}", f"It issued {row.told}, which is not among the invoices.")
        for row in await session.execute(_UNKNOWN, asked)
    ]
    return len(rows), found


def _faults(
    number: str, state: str | None, told: str | None, *, issued: bool, has_files: bool
) -> list[tuple[str, str]]:
    found = []
    if state is None:
        found.append(("orphan", f"Invoice {number} is of a job that is not there."))
    if issued and not has_files:
        found.append(("files_lost", f"Invoice {number} is issued, and its files are not there."))
    if issued and state in _FINISHED_WITHOUT:
        found.append(("issued_by_nobody", f"Invoice {number} is issued, and its job is {state}."))
    if not issued and state in _FINISHED_WITHOUT:
        found.append(
            ("number_unused", f"The number {number} was given, and its job is {state}: explain it in the books.")
        )
    if state == "succeeded" and (not issued or told != number):
        found.append(("number_differs", f"Its number is {number}{'' if issued else ', not issued'}; it told {told}."))
    return found
