"""The runway: arq's queues in Redis, one for each lane. Only tickets (`job_id:attempt`) travel; all can be rebuilt."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
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

Placed = tuple[str, Ticket, float]
"""A ticket with its lane and when it was released (seconds since the epoch, exact to the microsecond): its place."""

_PUT = """
-- KEYS: queues; ARGV: prefix of job keys, how long they live (ms), channel and text of the wake-up, then for each
-- ticket the number of its queue, its score, name and body. One call, so that order and wake-up hold over all queues. A
-- ticket that was taken back in the ledger and released anew has a new place; an old put never brings the old one back.
local prefix, lives = ARGV[1], ARGV[2]
for i = 5, #ARGV, 4 do
    redis.call('SET', prefix .. ARGV[i + 2], ARGV[i + 3], 'PX', lives)
    redis.call('ZADD', KEYS[tonumber(ARGV[i])], 'GT', ARGV[i + 1], ARGV[i + 2])
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
"""


@dataclass(frozen=True)
class Packing:
    """Which tickets a child may be given together: of the smallest class, so short that going one by one costs more.

    The first of them uses a place among those that may start; the others go with it.
    """

    job_s: float = 0.010
    """The longest predicted work of one job (seconds)."""
    sum_s: float = 0.050
    """The longest predicted work of all of them (seconds)."""
    jobs: int = 64


PACKING = Packing()
ALONE = Packing(jobs=1)
"""Every job by itself."""

_TAKE = """
-- KEYS: queues; ARGV: prefix of job keys, Packing (job_s, sum_s, jobs), most, for each queue its class (1 is
-- the smallest), then for each class how many more jobs of that class or larger may start. Always the ticket with the
-- lowest score whose class fits. Scores order, they do not delay: all that is here is due, and clocks differ.
local prefix, job_s, sum_s = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local jobs, most = tonumber(ARGV[4]), tonumber(ARGV[5])
local left, class, heads, taken = {}, {}, {}, {}
for i = 1, #KEYS do class[i] = tonumber(ARGV[5 + i]) end
for c = 1, #ARGV - 5 - #KEYS do left[c] = tonumber(ARGV[5 + #KEYS + c]) end
local packed, packed_s = jobs, 0

local function fits(c)
    for below = 1, c do if left[below] <= 0 then return false end end
    return true
end

local function head(i)
    if heads[i] == nil then
        local found = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
        heads[i] = false
        if found[1] then
            local body = class[i] == 1 and jobs > 1 and redis.call('GET', prefix .. found[1])
            local seconds = body and tonumber(string.match(body, '"s":([%d.e+-]+)') or '')
            heads[i] = {found[1], tonumber(found[2]), seconds or math.huge}
        end
    end
    return heads[i]
end

while #taken < most do
    local best, best_i
    for i = 1, #KEYS do
        local may = fits(class[i])
        if may or (class[i] == 1 and packed < jobs) then
            local one = head(i)
            if one and (may or (one[3] <= job_s and packed_s + one[3] <= sum_s)) and (not best or one[2] < best[2]) then
                best, best_i = one, i
            end
        end
    end
    if not best then break end
    if best[3] <= job_s and packed < jobs and packed_s + best[3] <= sum_s then
        packed, packed_s = packed + 1, packed_s + best[3]
    else
        for c = 1, class[best_i] do left[c] = left[c] - 1 end
        if best[3] <= job_s then packed, packed_s = 1, best[3] end
    end
    redis.call('ZREM', KEYS[best_i], best[1])
    redis.call('UNLINK', prefix .. best[1])
    taken[#taken + 1] = best[1]
    heads[best_i] = nil
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


def connect(url: str, connections: int = 20, patience_s: float = 5.0) -> ArqRedis:
    """Open a pool of connections that reconnect by themselves, with back-off, after Redis was away.

    One that says nothing for `patience_s` is away, too: behind a network that lost the way, nobody ever refuses.
    """
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=5,
        socket_connect_timeout=3,
        socket_timeout=patience_s,
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


def _body(ticket: Ticket, now_ms: int, seconds: float | None) -> str:
    """Write what arq keeps of a job; its own worker passes over `s`, the predicted work (seconds)."""
    predicted = "" if seconds is None else f'"s":{seconds:.6f},'
    return "{" + predicted + _BODY % (*ticket, now_ms)


def _template() -> str:
    """Have arq write a job once, with places for what differs: writing each anew costs more than putting it."""
    job, attempt, enqueued = "%s", 1 << 40, 1 << 41
    body: bytes = serialize_job(PERFORM, (job, attempt), {}, None, enqueued, serializer=as_json)
    return body.decode().replace(str(attempt), "%d").replace(str(enqueued), "%d").removeprefix("{")


_BODY = _template()


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
        self._put = redis.register_script(_PUT)
        self._take = redis.register_script(_TAKE)

    async def put(self, released: Sequence[Placed], seconds: Mapping[UUID, float] = MappingProxyType({})) -> None:
        """Put released jobs on their lanes' runways and wake the workers; doing it twice changes nothing.

        `seconds` is the predicted work of jobs; those of which it is not known are taken one by one.
        """
        lanes = sorted({lane for lane, _, _ in released})
        tickets: list[str | bytes | float] = []
        for lane, ticket, at in released:
            at_ms = at * 1000
            tickets += [lanes.index(lane) + 1, at_ms, ticket_text(ticket)]
            tickets.append(_body(ticket, int(at_ms), seconds.get(ticket[0])))
        await self._put(
            keys=[queue_of(lane) for lane in lanes],
            args=[job_key_prefix, expires_extra_ms, WAKE, ",".join(lanes), *tickets],
        )

    async def take(
        self, lanes: Sequence[tuple[str, int]], left: Sequence[int], most: int, packing: Packing = ALONE
    ) -> list[Ticket]:
        """Take up to `most` tickets off the runways in one call, in the order in which they were released.

        `lanes` are (name, index of its size class); `left[i]` says how many more jobs of class i *or larger* may start:
        one of a class starts if all classes up to it have some left, and uses one of each.
        """
        names: list[bytes] = await self._take(
            keys=[queue_of(lane) for lane, _ in lanes],
            args=[
                job_key_prefix,
                *(packing.job_s, packing.sum_s, packing.jobs, most),
                *(size + 1 for _, size in lanes),
                *left,
            ],
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
