"""A ledger that is as the service left it holds; whatever is lost or changed in it is found and named."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from invoicing.cli.command import main
from invoicing.cli.verify import Verdict, check, document
from invoicing.jobs import service as ledger
from invoicing.jobs import verifying
from invoicing.jobs.model import Interrupted, Progress, Size
from invoicing.kit.db import transaction
from invoicing.kit.ids import new_id

AGO = timedelta(days=1)


@pytest.fixture
async def busy(archive: Any) -> Any:
    """Make jobs of every fate: finished in each way, parked, set aside, running, waiting; and three invoices."""
    for ended in ("succeeded", "succeeded_later", "dead", "cancelled"):
        await archive.end(ended, AGO)
    parked = await archive.start(new_id())
    await archive.settle(parked, Interrupted("yield", Size.SMALL))
    await archive.claim(new_id(), await archive.release())
    for _ in range(3):
        await archive.issue(AGO)
    running = await archive.start(new_id())
    async with transaction(archive.engine) as session:
        await ledger.write_progress(session, running.id, 1, Progress(1, 2, "steps"))
        await ledger.set_aside(session, running.id, 1, aside=True)
        await ledger.reclass(session, running.id, 1, Size.LARGE)
        await ledger.set_aside(session, running.id, 1, aside=False)
    await archive.submit()
    return archive


async def verdict(archive: Any) -> Verdict:
    return await check(archive.engine.url.render_as_string(hide_password=False).replace("+asyncpg", ""), "-")


@pytest.mark.parametrize("page", [1, 2, 500])
async def test_what_the_service_leaves_holds(busy: Any, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(verifying.check, "__defaults__", (verifying.FIRST, page))
    found = await verdict(busy)
    assert found.told == []
    assert found.jobs.total() == 10
    assert verifying.unfinished(found.jobs) == {"queued": 1, "running": 2}
    assert (found.files, found.bytes, found.invoices, found.series) == (3, 60_000, 3, 1)
    (series,) = document(found, 1.0)["last_numbers"]
    assert (series["seller"], series["series"], series["last"]) == ("vat:DE1", "2026", 3)


async def test_a_ledger_that_was_pruned_holds(busy: Any, sweeper: Callable[..., Any]) -> None:
    await busy.do("UPDATE jobs SET finished_at = finished_at - interval '12 y' WHERE finished_at IS NOT NULL")
    assert (await sweeper().round()).jobs == 7
    found = await verdict(busy)
    assert (found.told, found.jobs.total(), found.invoices) == ([], 3, 0)
    await busy.issue(AGO)
    found = await verdict(busy)
    assert (found.told, found.invoices) == ([], 1)


A_JOB = "(SELECT id FROM jobs WHERE kind = 'drill' AND state = 'succeeded' AND attempt > 1)"
A_WAITING = "(SELECT id FROM jobs WHERE state = 'queued')"
AN_INVOICE = "(SELECT job_id FROM invoices WHERE sequence = 2)"


@pytest.mark.parametrize(
    ("damage", "codes"),
    [
        (f"UPDATE artifact_parts SET body = 'x' WHERE seq = 1 AND job_id = {AN_INVOICE}", {"file_changed"}),
        (f"DELETE FROM artifact_parts WHERE seq = 1 AND job_id = {AN_INVOICE}", {"file_changed"}),
        (f"DELETE FROM artifact_parts WHERE job_id = {AN_INVOICE}", {"file_changed"}),
        (f"UPDATE artifact_parts SET bytes = 1 WHERE seq = 1 AND job_id = {AN_INVOICE}", {"file_changed"}),
        (f"DELETE FROM artifacts WHERE job_id = {AN_INVOICE}", {"orphan", "files_lost"}),
        (f"DELETE FROM timeline WHERE seq = 2 AND job_id = {A_JOB}", {"illegal_path"}),
        (f"DELETE FROM timeline WHERE event = 'succeeded' AND job_id = {A_JOB}", {"wrong_end"}),
        (f"DELETE FROM timeline WHERE job_id = {A_JOB}", {"wrong_end"}),
        (f"UPDATE timeline SET event = 'flown' WHERE seq = 2 AND job_id = {A_JOB}", {"illegal_path"}),
        (f"UPDATE timeline SET attempt = 7 WHERE seq = 2 AND job_id = {A_JOB}", {"illegal_path"}),
        (f"UPDATE jobs SET state = 'cancelled' WHERE id = {A_JOB}", {"wrong_end"}),
        (f"UPDATE jobs SET revision = revision + 1 WHERE id = {A_JOB}", {"wrong_end"}),
        (f"DELETE FROM attempts WHERE number = 1 AND job_id = {A_JOB}", {"wrong_attempts"}),
        (f"UPDATE attempts SET ended_at = NULL WHERE job_id = {A_JOB}", {"wrong_attempts"}),
        ("UPDATE attempts SET ended_at = now()", {"wrong_attempts"}),
        (f"DELETE FROM jobs WHERE id = {A_JOB}", {"orphan"}),
        (f"DELETE FROM payload_parts WHERE job_id = {A_WAITING}", {"request_lost"}),
        ("DELETE FROM invoices WHERE sequence = 2", {"number_gap", "invoice_lost"}),
        ("DELETE FROM invoices WHERE sequence = 3", {"number_gap", "invoice_lost"}),
        ("UPDATE number_series SET last = 2", {"series_behind"}),
        ("UPDATE number_series SET last = 5", {"number_gap"}),
        ("UPDATE number_series SET removed = 1", {"number_gap"}),
        ("DELETE FROM number_series", {"series_behind"}),
        ("UPDATE invoices SET number = '2026-000001' WHERE sequence = 2",
         {"number_twice", "number_misread", "number_differs"}),
        (f"UPDATE jobs SET result = '{{\"number\": \"2026-000009\"}}' WHERE id = {AN_INVOICE}", {"number_differs"}),
        ("UPDATE invoices SET issued_at = NULL WHERE sequence = 2", {"number_differs"}),
    ],
)  # fmt: skip
async def test_whatever_is_lost_or_changed_is_found(busy: Any, damage: str, codes: set[str]) -> None:
    await busy.do(damage)
    found = await verdict(busy)
    assert set(found.codes) == codes, found.told


async def test_the_numbers_that_are_not_there_are_named(busy: Any) -> None:
    for sequence in (1, 3):
        await busy.do("DELETE FROM invoices WHERE sequence = :sequence", sequence=sequence)
    await busy.do("UPDATE number_series SET last = 6")
    gap = next(one for one in (await verdict(busy)).told if one.code == "number_gap")
    assert gap.says.endswith("Not there: 1, 3-6.")


async def test_a_number_that_was_given_and_not_used_is_told(busy: Any) -> None:
    await busy.issue(AGO, issued=False)
    (found,) = (await verdict(busy)).told
    assert found.code == "number_unused"
    assert "2026-000004" in found.says


async def test_a_checked_ledger_is_not_changed(busy: Any) -> None:
    engine = busy.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    async with engine.connect() as session:
        await verifying.check(session)
        with pytest.raises(Exception, match="read-only"):
            await session.execute(text("DELETE FROM timeline"))


def call(monkeypatch: pytest.MonkeyPatch, url: str, *arguments: str) -> int:
    monkeypatch.setenv("INVOICING_DATABASE_URL", url)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_the_command_ends_with_what_it_found(
    database_url: str, administrator: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(monkeypatch, database_url, "verify") == 0
    assert "All of it holds." in capsys.readouterr().out
    with type(administrator)(database_url) as inside:
        inside.execute(
            "INSERT INTO timeline (job_id, seq, event, state, attempt) VALUES (gen_random_uuid(), 1, 'dead', 'dead', 1)"
        )
    assert call(monkeypatch, database_url, "verify") == 1
    assert "orphan" in capsys.readouterr().out
    assert call(monkeypatch, database_url, "verify", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["holds"], told["discrepancies"], told["told"][0]["code"]) == (False, {"orphan": 1}, "orphan")
    with type(administrator)(database_url) as inside:
        inside.execute("UPDATE alembic_version SET version_num = '0001'")
    assert call(monkeypatch, database_url, "verify") == 1
    assert "invoicing migrate" in capsys.readouterr().err


def test_the_command_shows_what_is_kept_and_lets_go_what_is_due(
    database_url: str, administrator: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with type(administrator)(database_url) as inside:
        inside.execute("""
            WITH someone AS (INSERT INTO customers (id, slug, name) VALUES (gen_random_uuid(), 'a', 'A') RETURNING id)
            INSERT INTO jobs (id, customer_id, kind, priority, size, predicted_s, state, order_at, promise_due,
                finished_at)
            SELECT gen_random_uuid(), id, kind, 'normal', 'small', 1, 'dead', now(), now(), now() - interval '95 d'
            FROM someone, unnest(ARRAY['drill', 'drill', 'gone.kind']) AS kind
        """)
    counts = []
    for arguments in (["--dry-run"], [], ["--dry-run"]):
        assert call(monkeypatch, database_url, "retention", "--json", *arguments) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["kept_without_a_kind"] == ["gone.kind"]
        (line,) = [one for one in told["items"] if (one["kind"], one["ended"]) == ("drill", "unsuccessful")]
        counts.append((line["kept"], line.get("due"), line.get("removed")))
    assert counts == [("90d", 2, None), ("90d", None, 2), ("90d", 0, None)]
    monkeypatch.setenv("INVOICING_KEEP", "invoice.issue=12y")
    assert call(monkeypatch, database_url, "retention") == 0
    told = capsys.readouterr().out
    assert "12y" in told
    assert "gone.kind" in told
    monkeypatch.setenv("INVOICING_KEEP", "invoice.issue=2y")
    assert call(monkeypatch, database_url, "retention") == 2
    assert "must be kept for 10y at least" in capsys.readouterr().err
