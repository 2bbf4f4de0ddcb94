"""A described load as people write it, in TOML; what is wrong in it is said with its place, the rule and the remedy."""

import math
import re
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from invoicing.jobs.model import Priority
from invoicing.kit.findings import findings_of, refused
from invoicing.kit.problems import Problem
from invoicing.plan.model.load import Load, Stream
from invoicing.plan.model.spread import Fixed, LogNormal, Pareto, Spread

MOST_STREAMS = 100
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_LONGEST_S = 366 * 86_400.0


def seconds(text: str) -> float | None:
    """Read a time as people type it (300ms, 0.3s, 15m, 5h, 4d); None when it is none."""
    found = _SPAN.fullmatch(text.strip().lower())
    return None if found is None else float(found[1]) * _UNITS[found[2]]


def _wrong(rule: str) -> PydanticCustomError:
    return PydanticCustomError("load", rule)


def _span(value: object) -> float:
    read = seconds(value) if isinstance(value, str) else value
    if isinstance(read, bool) or not isinstance(read, int | float):
        raise _wrong("A time is a number of seconds, or a text such as 300ms, 2s, 15m, 5h or 3d.")
    return float(read)


Time = Annotated[float, BeforeValidator(_span), Field(ge=0, le=_LONGEST_S, allow_inf_nan=False)]
Work = Annotated[float, BeforeValidator(_span), Field(ge=0.001, le=_LONGEST_S, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _LogNormal(_Table):
    median: Work
    sigma: Annotated[float, Field(ge=0, le=5)]


class _Pareto(_Table):
    alpha: Annotated[float, Field(gt=0, le=10)]
    least: Work
    most: Work

    @model_validator(mode="after")
    def _ordered(self) -> "_Pareto":
        if self.most <= self.least:
            raise _wrong("`most` must be larger than `least`.")
        return self


class _Size(_Table):
    fixed: Work | None = None
    lognormal: _LogNormal | None = None
    pareto: _Pareto | None = None

    @model_validator(mode="after")
    def _one(self) -> "_Size":
        if sum(one is not None for one in (self.fixed, self.lognormal, self.pareto)) != 1:
            raise _wrong("A size is one of `fixed`, `lognormal` and `pareto`.")
        return self

    def spread(self) -> Spread:
        """Give the distribution."""
        if self.lognormal is not None:
            return LogNormal(self.lognormal.median, self.lognormal.sigma)
        if self.pareto is not None:
            return Pareto(self.pareto.alpha, self.pareto.least, self.pareto.most)
        return Fixed(self.fixed or 0.001)


def _size(value: object) -> object:
    return value if isinstance(value, Mapping) else {"fixed": value}


class _Stream(_Table):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    kind: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    size: Annotated[_Size, BeforeValidator(_size)]
    rate: Annotated[float, Field(ge=0, le=10_000_000)] = 0.0
    at_once: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    priority: Priority = Priority.NORMAL
    customers: Annotated[int, Field(ge=1, le=100_000)] = 1
    keys: Annotated[int, Field(ge=1, le=1000)] = 1
    customer: Annotated[str, Field(max_length=100)] = ""
    begins: Time = 0.0
    ends: Time | None = None
    error: Annotated[float, Field(ge=0, le=10)] = 0.0
    claims: Work | None = None
    without_checkpoints: Annotated[float, Field(ge=0, le=1)] = 0.0
    checkpoint_every: Work = 1.0

    @model_validator(mode="after")
    def _has_jobs(self) -> "_Stream":
        if not self.rate and not self.at_once:
            raise _wrong("A stream has a `rate` (jobs an hour), or jobs `at_once`.")
        return self

    def stream(self) -> Stream:
        """Give the stream."""
        return Stream(
            name=self.name,
            kind=self.kind or self.name,
            size=self.size.spread(),
            rate_per_hour=self.rate,
            at_once=self.at_once,
            priority=self.priority,
            customers=self.customers,
            keys=self.keys,
            customer=self.customer,
            begins_s=self.begins,
            ends_s=math.inf if self.ends is None else self.ends,
            error=self.error,
            claims_s=self.claims,
            without_checkpoints=self.without_checkpoints,
            checkpoint_s=self.checkpoint_every,
        )


class _Load(_Table):
    lasts: Work = 3600.0
    workers: Annotated[list[Annotated[int, Field(ge=1, le=1000)]], Field(max_length=1000)] = []
    stream: Annotated[list[_Stream], Field(min_length=1, max_length=MOST_STREAMS)]

    @model_validator(mode="after")
    def _named_apart(self) -> "_Load":
        names = [one.name for one in self.stream]
        if len(set(names)) < len(names):
            raise _wrong("Two streams have the same name.")
        return self


def load_of(described: Mapping[str, Any]) -> Load:
    """Check what was described; raises `Problem` naming each place (JSON pointer) that cannot be used."""
    try:
        read = _Load.model_validate(described)
    except ValidationError as error:
        raise refused(findings_of(error)) from error
    return Load(tuple(one.stream() for one in read.stream), read.lasts, tuple(read.workers))


def table(text: str, what: str) -> dict[str, Any]:
    """Read TOML; raises `Problem` with line and column. `what` says whose text it is."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Problem(
            "bad_input",
            f"{what} is no TOML: {error}.",
            remedy="See `invoicing plan --example` for a load that works.",
        ) from error


EXAMPLE = """\
# A load for `invoicing plan --load FILE`. Times: 300ms, 2s, 15m, 5h, 3d, or a number of seconds.
lasts = "1h"                     # how long jobs keep coming; all of them are worked off
workers = [4, 4]                 # slots of each worker today; --workers and --slots ask "what if" beside it

[[stream]]                       # the web shops: many small invoices, at any moment
name = "shop invoices"
kind = "invoice.issue"           # what --double and --scale name; left out: the stream's name
rate = 3600                      # jobs an hour
size = { lognormal = { median = "300ms", sigma = 0.8 } }
customers = 40                   # in equal parts
error = 0.5                      # estimates are off by a log-normal factor of this sigma

[[stream]]                       # four years of bills in one request
name = "four years"
rate = 6
size = { pareto = { alpha = 1.1, least = "5m", most = "2h" } }
customers = 3
without_checkpoints = 0.25       # this share cannot stop on the way
checkpoint_every = "1s"          # the others can, this often

[[stream]]                       # one customer's nightly run, all at once
name = "nightly run"
at_once = 400
begins = "20m"
size = "1.5s"                    # every one the same
priority = "bulk"
"""
"""What `--example` prints; a test plans with it."""
