"""Looking at the backlog: which queues there are, what comes first in each, what is under way. Nothing is scanned."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from invoicing.jobs.model.backlog import Come, Look, Place, QueueName, Seen, Ticket
from invoicing.jobs.model.states import Priority, Size

# One step of the index for each queue, not for each job. Jobs that are due later are found too: they are few, and a
# queue of which nothing is due shows nothing.
_QUEUES = """
WITH RECURSIVE queues AS (
    (SELECT customer_id, key_id, size, priority, needs FROM jobs
     WHERE state IN ('queued', 'retrying') AND released_at IS NULL AND NOT held
     ORDER BY customer_id, key_id, size, priority, needs LIMIT 1)
    UNION ALL SELECT next.* FROM queues CROSS JOIN LATERAL (
        SELECT customer_id, key_id, size, priority, needs FROM jobs
        WHERE state IN ('queued', 'retrying') AND released_at IS NULL AND NOT held
          AND (customer_id, key_id, size, priority, needs)
              > (queues.customer_id, queues.key_id, queues.size, queues.priority, queues.needs)
        ORDER BY customer_id, key_id, size, priority, needs LIMIT 1
    ) AS next
)
SELECT customer_id, key_id, priority, size, needs FROM queues LIMIT $1
"""

_RIPE = """
SELECT DISTINCT customer_id, key_id, priority, size, needs FROM jobs
WHERE state = 'retrying' AND due_at > to_timestamp($1) AND due_at <= now() AND released_at IS NULL
"""

# One statement, so that all of it is of one moment. Ordered by index: see `prepare`.
_LOOK = """
SELECT 'now' AS place, NULL::uuid AS job_id, (SELECT withdrawals FROM release_gate) AS attempt,
    NULL::uuid AS customer_id, NULL::uuid AS key_id, NULL::text AS priority, NULL::text AS size,
    NULL::text AS needs, extract(epoch FROM now())::float8 AS order_at, 0::float8 AS work_s,
    (SELECT extract(epoch FROM min(due_at)) FROM jobs WHERE state = 'retrying' AND due_at > now())::float8 AS since,
    NULL::uuid AS worker_id, false AS expedited
UNION ALL
SELECT 'waiting', head.id, head.attempt + 1, NULL, NULL, NULL, NULL, NULL, extract(epoch FROM head.order_at)::float8,
    head.predicted_s, asked.place, NULL, head.expedited_at IS NOT NULL
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $8::uuid[])
    WITH ORDINALITY AS asked(customer_id, key_id, priority, size, needs, behind, place)
CROSS JOIN LATERAL (
    SELECT coalesce((SELECT order_at FROM jobs WHERE id = asked.behind), '-infinity') AS order_at
) AS begin
CROSS JOIN LATERAL (
    SELECT id, attempt, order_at, predicted_s, expedited_at FROM jobs
    WHERE customer_id = asked.customer_id AND key_id = asked.key_id AND size = asked.size
      AND priority = asked.priority AND needs = asked.needs
      AND state IN ('queued', 'retrying') AND released_at IS NULL AND NOT held AND due_at <= now()
      AND (jobs.order_at, jobs.id) > (begin.order_at, coalesce(asked.behind, '00000000-0000-0000-0000-000000000000'))
    ORDER BY order_at, id LIMIT $6
) AS head
UNION ALL
SELECT 'running', id, attempt, customer_id, key_id, priority, size, needs, extract(epoch FROM order_at)::float8,
    predicted_s, extract(epoch FROM attempts.started_at)::float8,
    CASE WHEN parked_at IS NULL THEN jobs.worker_id END, false
FROM jobs JOIN attempts ON attempts.job_id = jobs.id AND attempts.number = jobs.attempt
WHERE state = 'running' AND $7
UNION ALL
SELECT 'released', id, attempt + 1, customer_id, key_id, priority, size, needs,
    extract(epoch FROM order_at)::float8, predicted_s, extract(epoch FROM released_at)::float8, NULL, false
FROM jobs WHERE state IN ('queued', 'retrying') AND released_at IS NOT NULL AND $7
"""

# The newest by their ids, which begin with the time at which they were made.
_LATELY = """
SELECT customer_id, key_id, priority, size, needs, predicted_s,
    extract(epoch FROM now() - submitted_at)::float8 AS ago_s
FROM jobs ORDER BY id DESC LIMIT $1
"""

_USED = """
SELECT job_id, number, extract(epoch FROM coalesce(ended_at, now()) - started_at)::float8 AS used_s
FROM attempts JOIN unnest($1::uuid[], $2::int[]) AS asked(id, attempt) ON job_id = id AND number = attempt
"""

# The planner guesses from statistics that are old within seconds here, and a wrong guess reads a whole backlog. Every
# statement on this connection has its index; one plan for all parameters saves planning them each time.
#
# Losing the last releases when PostgreSQL crashes harms nobody, so no round waits for the disk: such a job waits again,
# its ticket in Redis claims nothing, and the next round releases it anew under the same name. The log is written in
# order: the first commit that does wait, of a settlement or a checkpoint, makes all durable that came before.
_PREPARE = """
SET synchronous_commit = off;
SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off;
SET enable_hashjoin = off; SET enable_mergejoin = off
"""

_FOR_NOW = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
_AS_BEFORE = "SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_sort = on"


async def prepare(connection: "asyncpg.Connection[Any]") -> None:
    """Make a connection ready for looking and releasing often, each statement a transaction of its own."""
    await connection.execute(_PREPARE)


@asynccontextmanager
async def by_index(connection: "asyncpg.Connection[Any]") -> AsyncIterator[None]:
    """Have the same hold inside the block alone, on a connection that others use for other things afterwards."""
    await connection.execute(_FOR_NOW)
    yield
    await connection.execute(_AS_BEFORE)


async def queues(connection: "asyncpg.Connection[Any]", most: int | None = None) -> list[QueueName]:
    """List every queue in which something waits, or so many of them; the cost is by queue."""
    return [_queue(row) for row in await connection.fetch(_QUEUES, most)]


async def ripe(connection: "asyncpg.Connection[Any]", since: float) -> list[QueueName]:
    """List the queues with jobs that became due after a time (seconds since the epoch)."""
    return [_queue(row) for row in await connection.fetch(_RIPE, since)]


async def look(
    connection: "asyncpg.Connection[Any]", asked: Mapping[QueueName, UUID | None], most: int, *, under_way: bool = True
) -> Look:
    """Read the first jobs (`most` of each) of the queues asked for, in order, and what is released or runs.

    A queue may come with one of its jobs: then those behind that one are read.
    """
    queues = list(asked)
    rows = await connection.fetch(
        _LOOK,
        [queue[0] for queue in queues],
        [queue[1] for queue in queues],
        [queue[2] for queue in queues],
        [queue[3] for queue in queues],
        [queue[4] for queue in queues],
        most,
        under_way,
        list(asked.values()),
    )
    now, *jobs = rows  # the first branch of the statement is one row
    return Look(now["order_at"], now["since"], now["attempt"], [_seen(queues, *row) for row in jobs])


async def lately(connection: "asyncpg.Connection[Any]", most: int) -> list[Come]:
    """Read of the newest jobs, whatever became of them, in which queue they came, the last first."""
    rows = await connection.fetch(_LATELY, most)
    return [Come(_queue(row), row["predicted_s"], max(0.0, row["ago_s"])) for row in rows]


async def used(connection: "asyncpg.Connection[Any]", attempts: Collection[Ticket]) -> dict[Ticket, float]:
    """Tell how long attempts took, or have taken so far (seconds); those that never began are left out."""
    rows = await connection.fetch(_USED, [job for job, _ in attempts], [attempt for _, attempt in attempts])
    return {(row["job_id"], row["number"]): row["used_s"] for row in rows}


def _queue(row: Any) -> QueueName:  # noqa: ANN401 - the driver's record
    return row["customer_id"], row["key_id"], Priority(row["priority"]), Size(row["size"]), row["needs"]


def _seen(
    queues: Sequence[QueueName],
    place: str,
    job_id: UUID,
    attempt: int,
    customer: UUID | None,
    key: UUID | None,
    priority: str | None,
    size: str | None,
    needs: str | None,
    order_at: float,
    work_s: float,
    since: float,
    *rest: Any,  # noqa: ANN401 - as the row has it
) -> Seen:
    if customer is None or key is None or priority is None or size is None or needs is None:
        # it waits: `since` numbers its queue
        return Seen(Place.WAITING, job_id, attempt, *queues[int(since) - 1], order_at, work_s, 0.0, *rest)
    of = (customer, key, Priority(priority), Size(size), needs)
    return Seen(Place(place), job_id, attempt, *of, order_at, work_s, since, *rest)
