"""What proof of life costs: a thousand running jobs of workers that beat and do nothing else; all is PostgreSQL's."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import psutil
from benchmarks.pace import Pace
from benchmarks.report import Table
from benchmarks.surroundings import Servers, servers

from invoicing.kit.db import Session
from invoicing.kit.ids import new_id
from invoicing.kit.listen import plain_url
from invoicing.lanes import service as lanes
from invoicing.lanes.model import LANES
from workers.heartbeat import BEATS, LEASE, Heartbeat

WORKERS = 20
RUNNING = 1_000
_SESSIONS = "invoicing-heartbeat"
_EVERY_S = LEASE.total_seconds() / BEATS
_LANES = [lane.name for lane in LANES]

_RUN = """
INSERT INTO jobs (id, customer_id, key_id, kind, priority, size, predicted_s, state, order_at, promise_due, attempt,
    started_at, lease_until, worker_id)
SELECT gen_random_uuid(), $1, $1, 'drill', 'normal', 'large', 600, 'running', now(), now() + interval '1 h', 1,
    now(), now() + interval '10 s', worker FROM unnest($2::uuid[]) AS worker, generate_series(1, $3)
RETURNING id, worker_id
"""

_PIDS = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()"

_HELD = "SELECT count(*) FROM jobs WHERE state = 'running' AND lease_until > now()"

_WRITTEN = "SELECT pg_current_wal_insert_lsn()"


@dataclass(frozen=True)
class Cost:
    """What was used over a while: CPU of PostgreSQL's processes (seconds), what it logged, and leases that held."""

    seconds: float
    sessions_s: float
    others_s: float
    log_mb: float
    beats: int
    held: int


def run(pace: Pace) -> Table:
    """Let the workers beat, then add up what each process of PostgreSQL used."""
    with servers() as around:
        cost = asyncio.run(_measured(around, pace.beats_s))
    table = Table(
        f"{RUNNING:,} running jobs, {WORKERS} workers that beat every {_EVERY_S:g} s, for {cost.seconds:.0f} s",
        ("what", "CPU s", "of one core", "us a job and beat"),
    )
    jobs = cost.beats * RUNNING / WORKERS
    for name, used in (
        ("the sessions that beat and renew", cost.sessions_s),
        ("PostgreSQL's other processes: its log, vacuum", cost.others_s),
        ("all of PostgreSQL", cost.sessions_s + cost.others_s),
    ):
        table.add(name, f"{used:.2f}", f"{used / cost.seconds:.2%}", f"{1e6 * used / jobs:.0f}")
    table.add("write-ahead log (MB)", f"{cost.log_mb:.1f}", "", "")
    table.bar("PostgreSQL's CPU, % of one core", 100 * (cost.sessions_s + cost.others_s) / cost.seconds, at_most=3)
    table.bar("leases that hold in the end", cost.held, at_least=RUNNING)
    return table


async def _measured(around: Servers, seconds: float) -> Cost:
    connection = await asyncpg.connect(plain_url(around.database_url))
    running = await _running(connection)
    told: list[UUID] = []
    hearts = [_heart(around.database_url, worker, jobs, told) for worker, jobs in running.items()]
    for heart in hearts:  # at different moments, as workers come
        heart.start()
        await asyncio.sleep(_EVERY_S / WORKERS)
    await asyncio.sleep(_EVERY_S)
    told.clear()
    root = await _postmaster(connection)
    beating = {row["pid"] for row in await connection.fetch(_PIDS, _SESSIONS)}
    before, written = _cpu_of(root), await connection.fetchval(_WRITTEN)
    await asyncio.sleep(seconds)
    beats, held = len(told), await connection.fetchval(_HELD)
    logged = await connection.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1)::float8", written)
    after = _cpu_of(root)
    for heart in hearts:
        await heart.stop()
    await connection.close()
    used = {pid: cpu - before.get(pid, 0.0) for pid, cpu in after.items()}
    sessions_s = sum(cpu for pid, cpu in used.items() if pid in beating)
    return Cost(seconds, sessions_s, sum(used.values()) - sessions_s, logged / 1e6, beats, held)


async def _running(connection: "asyncpg.Connection[Any]") -> Mapping[UUID, list[tuple[UUID, int]]]:
    """Let each worker have as many running jobs; they register themselves with their first beat."""
    customer, workers = new_id(), [new_id() for _ in range(WORKERS)]
    await connection.execute("INSERT INTO customers (id, slug, name) VALUES ($1, 'crowd', 'Crowd')", customer)
    running: dict[UUID, list[tuple[UUID, int]]] = {worker: [] for worker in workers}
    for row in await connection.fetch(_RUN, customer, workers, RUNNING // WORKERS):
        running[row["worker_id"]].append((row["id"], 1))
    await connection.execute("ANALYZE")
    return running


def _heart(url: str, worker: UUID, jobs: list[tuple[UUID, int]], told: list[UUID]) -> Heartbeat:
    """Make the very heartbeat of a worker; each beat that was answered is noted."""

    async def register(session: Session) -> None:
        await lanes.register(session, worker, "bench", 1, "-", len(jobs), _LANES, ["drill"], LEASE)

    return Heartbeat(
        url, worker, register, lambda: jobs, lambda _asked, _held: told.append(worker), lambda _: len(jobs)
    )


async def _postmaster(connection: "asyncpg.Connection[Any]") -> psutil.Process:
    parent = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()")).parent()
    assert parent is not None
    return parent


def _cpu_of(root: psutil.Process) -> dict[int, float]:
    """Read what each process of PostgreSQL has used (seconds); those that ended count as the postmaster's."""
    used = {one.pid: _cpu_s(one.pid) for one in root.children()}
    times = root.cpu_times()
    return {**used, root.pid: _cpu_s(root.pid) + times.children_user + times.children_system}


def _cpu_s(pid: int) -> float:
    """Read it to the nanosecond: a session uses less than a tick of the clock between two looks."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
