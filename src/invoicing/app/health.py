"""Whether the process lives, and whether it can do its work."""

from dataclasses import dataclass, field

from fastapi import Request, Response
from pydantic import BaseModel
from sqlalchemy import MetaData, inspect
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Router
from invoicing.kit.problems import Problem


class Health(BaseModel):
    """It does."""

    status: str


@dataclass
class Ward:
    """Knows how the process is."""

    engine: AsyncEngine
    metadata: MetaData
    _migrated: bool = field(default=False, init=False)

    async def alive(self, _request: Request) -> Response:
        """Answer `GET /healthz`: the event loop turns."""
        return answer({"status": "alive"})

    async def ready(self, _request: Request) -> Response:
        """Answer `GET /readyz`: the ledger is reached, and has every table and column that this build uses."""
        async with self.engine.connect() as session:
            missing = await session.run_sync(self._missing)
        if missing:
            raise Problem(
                "unavailable",
                f"The ledger lacks {', '.join(missing[:5])}.",
                remedy="Run `invoicing migrate`.",
                headers={"Retry-After": "5"},
            )
        return answer({"status": "ready"})

    def _missing(self, connection: Connection) -> list[str]:
        if self._migrated:
            connection.exec_driver_sql("SELECT 1")
            return []
        inspector = inspect(connection)
        there = {
            table: {column["name"] for column in found} for (_, table), found in inspector.get_multi_columns().items()
        }
        missing = [
            f"{table.name}.{column.name}"
            for table in self.metadata.sorted_tables
            for column in table.columns
            if column.name not in there.get(table.name, ())
        ]
        self._migrated = not missing
        return missing


def add_health(router: Router, ward: Ward) -> None:
    """Add the routes, which need no key."""
    answers = {200: Given("It does.", {"application/json": Health})}
    router.operation(
        "GET",
        "/healthz",
        ward.alive,
        name="getHealth",
        summary="Is the process alive?",
        tag="health",
        answers=answers,
        keyed=False,
    )
    router.operation(
        "GET",
        "/readyz",
        ward.ready,
        name="getReadiness",
        summary="Can it do its work?",
        tag="health",
        answers=answers,
        problems=[503],
        keyed=False,
    )
