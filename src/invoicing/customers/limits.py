"""How fast a customer may ask: a token bucket, as a pure rule and as one web process keeps it.

The bucket lives in the process, not in Redis: accepting a request must not depend on anything but PostgreSQL.
With several web processes a customer is granted its rate in each of them.
"""

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True)
class Bucket:
    """Tokens left at an instant (seconds on a monotonic clock)."""

    tokens: float
    at: float


@dataclass(frozen=True)
class Allowance:
    """What a request was granted: whether it may pass, what is left, and when to ask again (seconds)."""

    allowed: bool
    remaining: int
    retry_after_s: float


def take(
    bucket: Bucket | None, now: float, rate_per_s: float, burst: int, cost: float = 1.0
) -> tuple[Bucket, Allowance]:
    """Take tokens from a bucket that fills at `rate_per_s` up to `burst`; a refused request takes none."""
    tokens = float(burst) if bucket is None else min(float(burst), bucket.tokens + (now - bucket.at) * rate_per_s)
    if tokens >= cost:
        return Bucket(tokens - cost, now), Allowance(True, int(tokens - cost), 0.0)
    return Bucket(tokens, now), Allowance(False, int(tokens), (cost - tokens) / rate_per_s)


class Limiter:
    """The buckets of the customers that one web process serves."""

    def __init__(self) -> None:
        """Start with every bucket full."""
        self._buckets: dict[Hashable, Bucket] = {}

    def take(self, owner: Hashable, now: float, rate_per_s: float, burst: int, cost: float = 1.0) -> Allowance:
        """Take tokens from the owner's bucket."""
        self._buckets[owner], allowance = take(self._buckets.get(owner), now, rate_per_s, burst, cost)
        return allowance

    def give_back(self, owner: Hashable, cost: float = 1.0) -> None:
        """Return tokens that were taken for a request that shall cost nothing."""
        bucket = self._buckets.get(owner)
        if bucket is not None:
            self._buckets[owner] = Bucket(bucket.tokens + cost, bucket.at)
