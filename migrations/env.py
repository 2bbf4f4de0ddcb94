"""Runs the migrations on the database that `INVOICING_DATABASE_URL` or the caller names."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from invoicing.app import METADATA
from invoicing.kit.db import driver_url


def _migrate(connection: Connection) -> None:
    """Run under timeouts: a migration that cannot get its lock gives up instead of holding up the service."""
    connection.exec_driver_sql("SET lock_timeout = '5s'")
    connection.exec_driver_sql("SET statement_timeout = '15min'")
    connection.commit()
    context.configure(
        connection=connection, target_metadata=METADATA, transaction_per_migration=True, compare_type=True
    )
    with context.begin_transaction():
        context.run_migrations()


async def _connect(url: str) -> None:
    engine = create_async_engine(driver_url(url), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    _migrate(given)
else:
    asyncio.run(_connect(context.config.attributes.get("url") or os.environ["INVOICING_DATABASE_URL"]))
