"""Looking for incidents reads no job that it need not, however many there are."""

import pytest

from ..book import Book
from ..ledger.test_schema import explained, many
from .conftest import Lookout

__all__ = ["many"]


async def test_no_statement_looks_through_the_jobs(
    many: Book, lookout: Lookout, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lookout.holds("no_worker", "normal-medium")
    await lookout.worker(silent=60)
    await many.do("""
        INSERT INTO tallies (customer_id, priority, size, waiting, work_s)
        SELECT id, 'urgent', 'small', 5, 5 FROM customers ON CONFLICT DO NOTHING
    """)
    await many.do("ANALYZE tallies, conditions, workers, attempts, incidents")
    lookout.waited = False  # that is known by a statement of the test's own
    with explained(monkeypatch, many.engine) as plans:
        await lookout.look()
    asked = [plan for plan in plans if " jobs" in plan]
    assert len(asked) > 5
    assert [plan for plan in asked if "Seq Scan on jobs" in plan] == []
