"""A dump of a ledger under way, restored: it holds, its unfinished jobs go on, and nothing is issued a second time."""

import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import select, text

from invoicing.cli.verify import check
from invoicing.invoices.tables import invoices
from invoicing.jobs import service as ledger
from invoicing.jobs.model import State
from invoicing.kit.db import driver, transaction
from invoicing.kit.embedded.postgres import _program

pytestmark = pytest.mark.asyncio(loop_scope="module")

Example = Callable[[str], dict[str, Any]]
_LAPSE = text("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE state = 'running'")


def tool(name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's own programs."""
    done = subprocess.run([str(_program(name, None)), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def empty_database(ledger_url: str, administrator: Any) -> Iterator[str]:
    """Make an empty database beside the ledger."""
    name = f"restored_{uuid4().hex}"
    administrator.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    yield urlunsplit(urlsplit(ledger_url)._replace(path=f"/{name}"))
    administrator.drop(name)


restored_url = pytest.fixture(scope="module")(empty_database)
another_url = pytest.fixture(empty_database)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def elsewhere(office: Any, restored_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    """Have an office that works on what is restored."""
    office = type(office)(restored_url, tmp_path_factory.mktemp("elsewhere"), 1, {})
    yield office
    await office.close()


async def numbers(office: Any) -> list[int]:
    async with office.engine.connect() as session:
        found: list[int] = sorted((await session.execute(select(invoices.c.sequence))).scalars())
        return found


async def test_what_is_restored_from_a_dump_holds_and_goes_on_where_it_was(
    office: Any, elsewhere: Any, ledger_url: str, restored_url: str, example: Example, tmp_path: Path
) -> None:
    customer = await office.customer()
    issued = [await office.issue(customer, example(name)) for name in ("small", "several-rates")]
    waiting = await office.submit(customer, example("small"))
    numbered = await office.submit(customer, example("small"))
    async with office.held_before_issuing(numbered):
        attempt = await office.start(numbered)
        number = await office.until_numbered(numbered)
        tool("pg_dump", "--format=custom", "--no-owner", f"--file={tmp_path / 'ledger.dump'}", ledger_url)
    await attempt
    undisturbed = await office.ended(numbered)

    tool("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={restored_url}", str(tmp_path / "ledger.dump"))
    verdict = await check(restored_url, "restored")
    assert verdict.told == []
    assert {state: verdict.jobs[state] for state in (State.SUCCEEDED, State.RUNNING, State.QUEUED)} == {
        State.SUCCEEDED: 2, State.RUNNING: 1, State.QUEUED: 1,
    }  # fmt: skip
    assert (verdict.invoices, verdict.series) == (3, 1)
    assert verdict.files == sum(len(each.files) for each in issued)

    await elsewhere.open()
    for before in issued:
        assert await elsewhere.ended(before.job.id) == before
    async with transaction(elsewhere.engine) as session:
        await session.execute(_LAPSE)
    async with elsewhere.engine.connect() as session:
        assert list(await ledger.rescue(await driver(session))) == [numbered]
    ended = await elsewhere.finish(numbered)
    assert ended.number == number == undisturbed.number == "2026-000003"
    assert ended.files == undisturbed.files, "whoever has the invoice already has the same bytes"
    assert (await elsewhere.finish(waiting)).number == "2026-000004"
    assert (await elsewhere.issue(customer, example("small"))).number == "2026-000005"
    verdict = await check(restored_url, "restored")
    assert verdict.told == []
    assert await numbers(elsewhere) == [1, 2, 3, 4, 5]


async def test_a_dump_that_lost_a_file_on_the_way_is_found_out(
    office: Any, ledger_url: str, another_url: str, example: Example, tmp_path: Path
) -> None:
    await office.issue(await office.customer(), example("small"))
    dump = str(tmp_path / "ledger.dump")
    tool("pg_dump", "--format=custom", "--exclude-table-data=artifact_parts", f"--file={dump}", ledger_url)
    tool("pg_restore", "--exit-on-error", f"--dbname={another_url}", dump)
    assert set((await check(another_url, "restored")).codes) == {"file_changed"}
