"""How long jobs waited, by the ledger's own times and by the jobs' own word; one clock, as all runs on one machine."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg


@dataclass(frozen=True)
class Wait:
    """When a job was accepted and when it began (seconds since the epoch)."""

    accepted: float
    began: float
    has_begun: bool

    @property
    def seconds(self) -> float:
        """How long it waited; of one that has not begun: how long so far."""
        return self.began - self.accepted


async def waits_of(database_url: str, ids: Sequence[UUID]) -> list[Wait]:
    """Tell how long jobs waited, in the order in which they came.

    They began at the first line of their work in the child process where they told it, else when they were claimed.
    """
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(
        "SELECT extract(epoch FROM submitted_at)::float8 AS accepted, "
        "coalesce((result->>'began')::float8, extract(epoch FROM started_at)::float8) AS began, state "
        "FROM jobs WHERE id = ANY($1::uuid[]) ORDER BY submitted_at",
        list(ids),
    )
    await connection.close()
    failed = [row["state"] for row in rows if row["state"] in {"dead", "cancelled"}]
    if failed:
        raise RuntimeError(f"{len(failed)} jobs did not succeed")
    now = time.time()
    return [
        Wait(row["accepted"], now if row["began"] is None else row["began"], row["began"] is not None) for row in rows
    ]


def at(waits: Sequence[Wait], share: float) -> float:
    """Give the wait (milliseconds) that this share of them does not exceed."""
    ordered = sorted(wait.seconds for wait in waits)
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def shown(waits: Sequence[Wait], share: float) -> str:
    """Write such a wait down, with a sign where some had not even begun."""
    censored = any(not wait.has_begun for wait in waits)
    return f"{'>= ' if censored and share > 0.5 else ''}{at(waits, share):,.1f}"
