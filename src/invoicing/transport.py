"""The runway: arq's queues in Redis, one for each lane. Only tickets (`job_id:attempt`) travel; all can be rebuilt."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from arq.connections import ArqRedis
from arq.constants import expires_extra_ms, job_key_prefix
from arq.jobs import serialize_job
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.client import PubSub
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

PERFORM = "perform"
"""The one function that workers offer to arq; its arguments are the job's id and the attempt."""

WAKE = "invoicing:wake"
"""Published when something was put on a runway; a worker with a free slot then looks."""

Ticket = tuple[UUID, int]

_TAKE = """
-- KEYS: queues from the smallest class to the largest; ARGV: prefix of job keys, then for each queue the number of its
-- class, then for each class how many more jobs of that class or larger may start. Scores order, they do not delay: all
-- that is here is due, and the clocks of two machines differ.
local prefix, taken = ARGV[1], {}
local classes = #ARGV - 1 - #KEYS
local left = {}
for c = 1, classes do left[c] = tonumber(ARGV[1 + #KEYS + c]) end
for i, queue in ipairs(KEYS) do
    local class = tonumber(ARGV[1 + i])
    if left[class] > 0 then
        local ids = redis.call('ZRANGE', queue, 0, left[class] - 1)
        if #ids > 0 then
            redis.call('ZREM', queue, unpack(ids))
            for n, id in ipairs(ids) do
                redis.call('UNLINK', prefix .. id)
                taken[#taken + 1] = id
            end
            for c = class, classes do left[c] = left[c] - #ids end
        end
    end
end
return taken
"""


def as_json(value: object) -> bytes:
    """Serialise for arq; its default is pickle, which would run code that a stranger put into Redis."""
    return json.dumps(value, separators=(",", ":")).encode()


def from_json(data: bytes) -> dict[str, Any]:
    """Read what `as_json` wrote."""
    value: dict[str, Any] = json.loads(data)
    return value


def connect(url: str, connections: int = 20) -> ArqRedis:
    """Open a pool of connections that reconnect by themselves, with back-off, after Redis was away."""
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=5,
        socket_connect_timeout=3,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=1, base=0.05), 3),
    )
    return ArqRedis(connection_pool=pool, job_serializer=as_json, job_deserializer=from_json)


def queue_of(lane: str) -> str:
    """Name the arq queue of a lane."""
    return f"arq:lane:{lane}"


def ticket_text(ticket: Ticket) -> str:
    """Write a ticket as arq's job id."""
    return f"{ticket[0]}:{ticket[1]}"


def ticket_of(text: str) -> Ticket:
    """Read a ticket from arq's job id."""
    job_id, _, attempt = text.partition(":")
    return UUID(job_id), int(attempt)


def _tickets_of(names: Iterable[bytes]) -> list[Ticket]:
    """Read tickets, passing over what a stranger put into the queue: one bad name must not stop a worker."""
    tickets = []
    for name in names:
        try:
            tickets.append(ticket_of(name.decode()))
        except ValueError:
            log.warning("no ticket: %r", name, extra={"action": "runway.stranger"})
    return tickets


class Transport:
    """Puts tickets on the runways and takes them off again."""

    def __init__(self, redis: ArqRedis) -> None:
        """Work through a pool of connections."""
        self.redis = redis
        self._take = redis.register_script(_TAKE)

    async def put(self, released: Mapping[str, Sequence[Ticket]]) -> None:
        """Put released jobs on their lanes' runways, in order, and wake the workers; doing it twice changes nothing."""
        now_ms = time.time_ns() // 1_000_000
        async with self.redis.pipeline(transaction=False) as pipe:
            for lane, tickets in released.items():
                queue = queue_of(lane)
                for place, ticket in enumerate(tickets):
                    name = ticket_text(ticket)
                    body = serialize_job(PERFORM, (str(ticket[0]), ticket[1]), {}, None, now_ms, serializer=as_json)
                    pipe.psetex(job_key_prefix + name, expires_extra_ms, body)
                    # a fraction of a millisecond keeps the order of release within one call
                    pipe.zadd(queue, {name: now_ms - 1 + place / (len(tickets) + 1)}, nx=True)
            pipe.publish(WAKE, ",".join(released))
            await pipe.execute()

    async def take(self, lanes: Sequence[tuple[str, int]], left: Sequence[int]) -> list[Ticket]:
        """Take tickets off the runways in one call, the first lane first.

        `lanes` are (name, index of its size class), smaller classes first; `left[i]` says how many more jobs of class
        i may start, given that each one taken also uses up what is left for the larger classes.
        """
        names: list[bytes] = await self._take(
            keys=[queue_of(lane) for lane, _ in lanes],
            args=[job_key_prefix, *(size + 1 for _, size in lanes), *left],
        )
        return _tickets_of(names)

    async def present(self, lane: str) -> set[Ticket]:
        """List the tickets on a lane's runway."""
        return set(_tickets_of(await self.redis.zrange(queue_of(lane), 0, -1)))

    @asynccontextmanager
    async def wake_ups(self) -> AsyncIterator["WakeUps"]:
        """Listen for wake-ups while the block runs."""
        async with self.redis.pubsub() as channel:
            await channel.subscribe(WAKE)
            yield WakeUps(channel)

    async def close(self) -> None:
        """Close the connections."""
        await self.redis.aclose(close_connection_pool=True)  # not by itself: the pool was made apart


class WakeUps:
    """Waits for the next wake-up; several that came meanwhile count as one."""

    def __init__(self, channel: PubSub) -> None:
        """Read from a subscribed channel."""
        self._channel = channel

    async def wait(self, at_most_s: float) -> bool:
        """Wait until something was put on a runway, or for so long; tells which."""
        deadline = asyncio.get_running_loop().time() + at_most_s
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            message = await self._channel.get_message(ignore_subscribe_messages=True, timeout=left)
            if message is not None:
                return True
        return False
