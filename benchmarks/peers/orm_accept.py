"""The peer: a POST that stores one row through FastAPI as usual and an ORM session per request.

Its table has the columns that ours fill at submission, and its answer is as large; what it lacks is idempotency, the
timeline, and the check of the payload by the rules of its kind.
"""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import JSON, DateTime, Float, Text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ["BENCHMARK_DATABASE_URL"], pool_size=20, max_overflow=20)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The tables of this peer."""


class Row(Base):
    """A job as the peer keeps it."""

    __tablename__ = "orm_jobs"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    reference: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[str] = mapped_column(Text)
    size: Mapped[str] = mapped_column(Text)
    predicted_s: Mapped[float] = mapped_column(Float)
    state: Mapped[str] = mapped_column(Text)
    submitted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    order_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    promise_due: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)


class Request(BaseModel):
    """What is sent."""

    kind: str
    payload: dict[str, Any]
    reference: str | None = None
    priority: str = "normal"


class Answer(BaseModel):
    """What comes back."""

    id: uuid.UUID
    kind: str
    reference: str | None
    customer: str
    state: str
    lane: dict[str, str]
    submitted_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempt: int = 0
    progress: dict[str, Any] | None = None
    position: dict[str, Any] | None = None
    promise: dict[str, Any]
    artifacts: list[dict[str, Any]] = []
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Make the table."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def session() -> AsyncIterator[AsyncSession]:
    """One session per request, committed before the answer."""
    async with sessions() as opened, opened.begin():
        yield opened


@app.post("/v1/jobs", status_code=202)
async def submit(request: Request, opened: Annotated[AsyncSession, Depends(session, scope="function")]) -> Answer:
    """Store a job."""
    now = datetime.now(UTC)
    row = Row(
        id=uuid.uuid4(),
        customer="acme",
        kind=request.kind,
        reference=request.reference,
        priority=request.priority,
        size="small",
        predicted_s=0.1,
        state="queued",
        submitted_at=now,
        order_at=now + timedelta(seconds=20),
        promise_due=now + timedelta(minutes=5),
        payload=request.payload,
    )
    opened.add(row)
    await opened.flush()
    return Answer(
        id=row.id,
        kind=row.kind,
        reference=row.reference,
        customer=row.customer,
        state=row.state,
        lane={"priority": row.priority, "size": row.size},
        submitted_at=row.submitted_at,
        promise={"due": row.promise_due.isoformat(), "status": "on_track"},
    )
