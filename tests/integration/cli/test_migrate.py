"""`migrate` knows the newest tables without asking Alembic, and brings any database to them."""

import asyncio

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from invoicing.cli import schema
from invoicing.cli.command import main


def test_the_newest_revision_is_the_one_that_alembic_names() -> None:
    assert schema.newest() == ScriptDirectory.from_config(Config(schema.alembic_ini())).get_current_head()


def test_an_empty_database_gets_its_tables_and_a_second_time_changes_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INVOICING_DATABASE_URL", database_url)
    asyncio.run(_drop_all(database_url))
    assert asyncio.run(schema.current(database_url)) is None
    said = []
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            main(["migrate"])
        assert not ended.value.code
        said.append(capsys.readouterr().out)
    assert f"from revision none to {schema.newest()}" in said[0]
    assert "already" in said[1]


async def _drop_all(url: str) -> None:

    connection = await asyncpg.connect(url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
