"""What a worker and its child processes say to each other: one JSON object a line over a socket pair."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic_core import from_json, to_json

from invoicing.jobs.model import (
    Cancelled,
    Claim,
    Failed,
    Interrupted,
    JobError,
    Outcome,
    Priority,
    Rejected,
    Size,
    Succeeded,
)

LONGEST_LINE = 16 * 1024 * 1024
"""A result or an error is small; a child that says more than this has gone wrong (bytes)."""


@dataclass(frozen=True)
class Surroundings:
    """What a child process needs to know before its first job; it gets nothing from the environment."""

    database_url: str
    drills: bool
    settings: Mapping[str, str]
    traced: bool = False
    """Whether it is to say when an attempt has kept what it did."""


FREEZE, THAW, DROP = ({"freeze": True}, {"freeze": False}, {"drop": True})
"""To a child: be still so that it can be frozen; go on; begin no more of what it was given together."""

WARM_UP = {"warm_up": True}
"""To a child that has no order: warm every kind up."""

LOADED = {"loaded": True}
"""From a child: it takes orders from now on."""

STILL = {"still": True}
"""From a child: it may be frozen now."""

WARMING = {"warming": True}
"""From a child with an order: it has to warm its kind up first."""


def warm_message(failed: Mapping[str, str]) -> dict[str, Any]:
    """Tell the worker that warming up is over, and what it failed for."""
    return {"warming": False, "failed": failed}


def kept_message(attempt: tuple[UUID, int], number: int, began_ns: int, ended_ns: int) -> dict[str, Any]:
    """Tell the worker of an attempt's checkpoint: the so-many-th, and when it was written (nanoseconds)."""
    return {"kept": number, "began_ns": began_ns, "ended_ns": ended_ns, "id": attempt[0], "attempt": attempt[1]}


def line(message: Mapping[str, Any]) -> bytes:
    """Write a message."""
    return to_json(message) + b"\n"


def read(text: bytes) -> dict[str, Any]:
    """Read a message."""
    message: dict[str, Any] = from_json(text)
    return message


def surroundings_of(message: Mapping[str, Any]) -> Surroundings:
    """Read the first message that a child gets."""
    return Surroundings(message["database_url"], message["drills"], message["settings"], message["traced"])


def perform_message(claims: Sequence[Claim]) -> dict[str, Any]:
    """Tell a child which attempts to perform, one after the other."""
    return {"perform": list(claims)}


def claims_of(message: Mapping[str, Any]) -> list[Claim]:
    """Read which attempts to perform."""
    return [_claim_of(values) for values in message["perform"]]


def _claim_of(values: Mapping[str, Any]) -> Claim:
    return Claim(
        **{
            **values,
            "id": UUID(values["id"]),
            "customer_id": UUID(values["customer_id"]),
            "priority": Priority(values["priority"]),
            "size": Size(values["size"]),
            "body": None if values["body"] is None else values["body"].encode(),
        }
    )


def stop_message(attempt: tuple[UUID, int], why: str | None) -> dict[str, Any]:
    """Tell a child that an attempt must stop at its next checkpoint; `None`: that it may go on after all."""
    return {"stop": why, "id": attempt[0], "attempt": attempt[1]}


def attempt_of(message: Mapping[str, Any]) -> tuple[UUID, int]:
    """Read which attempt a message is about."""
    return UUID(message["id"]), int(message["attempt"])


def outcome_message(outcome: Outcome) -> dict[str, Any]:
    """Tell the worker how an attempt ended."""
    match outcome:
        case Succeeded(result):
            return {"outcome": "succeeded", "result": result}
        case Rejected(error):
            return {"outcome": "rejected", "error": error.as_json()}
        case Failed(error, retry_after, dependency):
            seconds = None if retry_after is None else retry_after.total_seconds()
            named = {"error": error.as_json(), "dependency": dependency}
            return {"outcome": "failed", **named, "retry_after_s": seconds}
        case Interrupted(why, size):
            return {"outcome": "interrupted", "why": why, "size": size}
        case Cancelled():
            return {"outcome": "cancelled"}


def outcome_of(message: Mapping[str, Any]) -> Outcome:
    """Read how an attempt ended; what cannot be understood is a failure, never a success."""
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        if (outcome := _understood(message)) is not None:
            return outcome
    return Failed(JobError("unknown_outcome", "The attempt ended without saying how."))


def _understood(message: Mapping[str, Any]) -> Outcome | None:
    match message:
        case {"outcome": "succeeded", "result": dict(result)}:
            return Succeeded(result)
        case {"outcome": "rejected", "error": dict(error)}:
            return Rejected(_error_of(error))
        case {"outcome": "failed", "error": dict(error), "retry_after_s": seconds, "dependency": None | str() as named}:
            return Failed(_error_of(error), None if seconds is None else timedelta(seconds=seconds), named)
        case {"outcome": "interrupted", "why": str(why), "size": size}:
            return Interrupted(why, None if size is None else Size(size))
        case {"outcome": "cancelled"}:
            return Cancelled()
        case _:
            return None


def _error_of(members: Mapping[str, Any]) -> JobError:
    return JobError(**{**members, "findings": tuple(members.get("findings", ()))})
