"""PostgreSQL: engine, naming of constraints, and the unit of work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from pydantic_core import from_json, to_json
from sqlalchemy import MetaData, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

DRIVER = "postgresql+asyncpg"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Session = AsyncConnection
"""A unit of work: one connection inside one transaction. Statements are named functions in a room's `store.py`."""


def make_engine(
    url: str,
    *,
    pool_size: int = 10,
    overflow: int = 10,
    name: str = "invoicing",
    by_key: bool = False,
    patience_s: float | None = None,
) -> AsyncEngine:
    """Build an engine for a `postgresql://` URL.

    `name` shows in `pg_stat_activity`, so that a person looking at locks sees which process holds them. `by_key` is for
    those who find rows by their keys: a plan kept from when a table was small must not read all of it when it is large.
    `patience_s` bounds every statement, for those who send only short ones: a host that lost its power, or a network
    that lost the way to it, neither answers nor refuses, and whoever waits for it would wait for as long as TCP does.
    """
    engine = create_async_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=overflow,
        hide_parameters=True,  # customers' data stays out of tracebacks
        pool_recycle=1800,
        json_serializer=lambda value: to_json(value).decode(),
        json_deserializer=from_json,
        connect_args={
            "server_settings": {
                "application_name": name,
                "timezone": "UTC",
                "jit": "off",
                **({"enable_seqscan": "off"} if by_key else {}),
                "lock_timeout": "10s",
                # a process that is stopped inside a transaction must not hold its locks for ever: nobody could rescue
                "idle_in_transaction_session_timeout": "60s",
                # nor may a machine that lost its power: the lock of the dispatcher that leads lives on its connection
                "tcp_keepalives_idle": "10",
                "tcp_keepalives_interval": "5",
                "tcp_keepalives_count": "3",
            },
            "timeout": 10,
            "command_timeout": patience_s,
        },
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:  # noqa: ANN401 - the pool's own type
    """Have the pool replace a connection that PostgreSQL closed meanwhile, without a round trip to find out."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def url_of(engine: AsyncEngine) -> str:
    """Give the URL that an engine was built for, with its password."""
    return engine.url.render_as_string(hide_password=False)


def driver_url(url: str) -> str:
    """Name the driver in a plain `postgresql://` URL."""
    scheme, _, rest = url.partition("://")
    if scheme not in {"postgres", "postgresql", DRIVER}:
        raise ValueError(f"the database URL starts with {scheme!r}; it must start with postgresql://")
    return f"{DRIVER}://{rest}"


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[Session]:
    """Open a unit of work that commits at the end of the block and rolls back on an error."""
    async with engine.begin() as session:
        yield session


async def driver(session: Session) -> "asyncpg.Connection[Any]":
    """Reach the driver's own connection, for statements on the hot paths (arrays in, records out)."""
    raw = await session.get_raw_connection()
    connection: asyncpg.Connection[Any] = raw.driver_connection  # type: ignore[assignment]  # typed as object there
    return connection


_AWAY = (
    OSError,
    TimeoutError,
    PoolTimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, terminated by a person
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # the database does not take connections now
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresSystemError,  # its disk failed or is full
    asyncpg.InternalClientError,  # the stream broke off within an answer
)

_CLOSED_AT_ONCE = "This connection is closed"


def is_away(error: BaseException) -> bool:
    """Tell whether an error says that the database cannot be used now, as against a mistake in what it was asked."""
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if error.orig is not None else None
        return error.connection_invalidated or (cause is not None and is_away(cause))
    if isinstance(error, InvalidRequestError):  # the pool, when PostgreSQL closed two connections as they were made
        return str(error) == _CLOSED_AT_ONCE
    return isinstance(error, _AWAY)
