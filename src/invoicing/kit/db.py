"""PostgreSQL: engine, naming of constraints, and the unit of work."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from pydantic_core import from_json, to_json
from sqlalchemy import MetaData, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
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
                "tcp_user_timeout": "15000",  # the same, where it was sent something that it did not receive
            },
            "timeout": 10,
            "command_timeout": patience_s,
        },
    )
    event.listen(engine.sync_engine, "connect", _break_when_silent)
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


_SILENCE = {"TCP_USER_TIMEOUT": 10_000, "TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 2}
"""After ten seconds (the first is in milliseconds) without a sign of life the kernel breaks a connection. By itself it
goes on trying for a quarter of an hour, and each connection of a pool would be found out one after another."""


def _break_when_silent(connection: Any, _record: object) -> None:  # noqa: ANN401 - the pool's own type
    """Have a way to the server that was lost without a word end as one that was refused."""
    channel = connection.driver_connection._transport.get_extra_info("socket")  # noqa: SLF001 - there is no other way
    if channel.family == socket.AF_UNIX:
        return
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SILENCE.items():
        if hasattr(socket, name):  # not all of them outside Linux
            channel.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


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
    asyncpg.InternalClientError,  # the server's last word came while the next statement was being sent
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # no connection, memory or disk left
    asyncpg.ReadOnlySQLTransactionError,  # a standby answers
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.PostgresSystemError,  # its disk does not do as it is told
)
_ENDED = frozenset({"FATAL", "PANIC"})
"""Severities with which PostgreSQL ends a connection or refuses to begin one: shutting down, starting up, terminated by
a person, no such database. Errors of the same classes that end a statement alone say nothing about the server."""

_PASSING = (
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,  # as at a deadlock
    asyncpg.QueryCanceledError,
)


def is_away(error: BaseException) -> bool:
    """Tell whether an error says that the database cannot be used now, as against a mistake in what it was asked."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = _driver_error(error)
    ended = isinstance(cause, asyncpg.PostgresError) and getattr(cause, "severity_en", None) in _ENDED
    return ended or isinstance(cause, _AWAY)


def may_pass(error: BaseException) -> bool:
    """Tell whether others are to blame for an error: their locks, or a person; a moment later the same may be done.

    It concerns those alone who were asking; the database is there for everybody else.
    """
    return isinstance(_driver_error(error), _PASSING) and not is_away(error)


def _driver_error(error: BaseException) -> BaseException | None:
    """Take out what SQLAlchemy has wrapped, twice."""
    if isinstance(error, DBAPIError):
        return None if error.orig is None else error.orig.__cause__
    return error
