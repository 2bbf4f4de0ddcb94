"""The database's tables brought to the newest migration; the migrations lie beside the sources or in the wheel."""

from importlib.resources import files
from pathlib import Path

import asyncpg

_UNDEFINED = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)


def alembic_ini() -> Path:
    """Find alembic.ini: in the wheel, else at the root of the source tree."""
    package = Path(str(files("invoicing")))
    places = (package / "_schema" / "alembic.ini", package.parents[1] / "alembic.ini")
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f"alembic.ini is at neither of {', '.join(map(str, places))}: install the service again"
        )
    return found


def newest() -> str:
    """Name the newest revision: revisions are numbered, and their files named after them (see alembic.ini)."""
    versions = alembic_ini().with_name("migrations") / "versions"
    return max(path.name.partition("_")[0] for path in versions.glob("[0-9]*.py"))


async def current(database_url: str) -> str | None:
    """Read which revision the database is at; None when it was never migrated."""
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    except _UNDEFINED:
        return None
    finally:
        await connection.close()
    return revision
