"""The gate that every request with a key passes: who is it, may it, how fast."""

import math
import time
from collections.abc import Sequence
from uuid import UUID

from fastapi import Request

from invoicing.customers.limits import Allowance, Limiter
from invoicing.customers.model import STAFF, Principal, Role
from invoicing.customers.service import Keys
from invoicing.kit.clock import now
from invoicing.kit.http.edge import set_headers
from invoicing.kit.http.headers import accepts
from invoicing.kit.problems import Problem

_PLAIN = {"", "*/*", "application/json"}


class Gate:
    """Recognises keys and counts requests."""

    def __init__(self, keys: Keys, limiter: Limiter) -> None:
        """Ask these."""
        self._keys = keys
        self._limiter = limiter

    async def customer(self, request: Request, *media_types: str) -> Principal:
        """Let a customer's program in; it must accept one of the media types that the answer may have."""
        principal = await self._principal(request)
        if principal.role is not Role.CUSTOMER:
            raise Problem(
                "forbidden",
                f"This address is for customers; the key {principal.label!r} has the role {principal.role}.",
                remedy="Use a key with the role customer.",
            )
        self._count(request, principal)
        acceptable(request, *media_types)
        return principal

    async def staff(self, request: Request, *roles: Role, media_types: Sequence[str] = ()) -> Principal:
        """Let our staff in, by role; who asks must accept one of the media types that the answer may have."""
        principal = await self._principal(request)
        if not principal.may_act_as(frozenset(roles)):
            needed = " or ".join(sorted({*roles, Role.ADMIN} & STAFF))
            raise Problem(
                "forbidden",
                f"This needs the role {needed}; the key {principal.label!r} has the role {principal.role}.",
                remedy=f"Use a key with the role {needed}.",
            )
        self._count(request, principal)
        acceptable(request, *media_types)
        return principal

    def charge(self, request: Request, principal: Principal, cost: float) -> None:
        """Count a request as more than one, for what it asks."""
        self._count(request, principal, cost)

    def forgive(self, principal: Principal) -> None:
        """Give back what a request was counted: it was answered 304."""
        self._limiter.give_back(_owner(principal))

    async def _principal(self, request: Request) -> Principal:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise _unauthorized("This address needs a key.")
        principal = await self._keys.recognise(key.strip(), now())
        if principal is None:
            raise _unauthorized("This key is not known, was revoked, or is over its time.")
        return principal

    def _count(self, request: Request, principal: Principal, cost: float = 1.0) -> None:
        owner = _owner(principal)
        allowance = self._limiter.take(owner, time.monotonic(), principal.rate_per_s, principal.burst, cost)
        set_headers(request, _limit_headers(principal, allowance))
        if not allowance.allowed:
            wait = max(1, math.ceil(allowance.retry_after_s))
            raise Problem(
                "rate_limited",
                f"More than {principal.rate_per_s:g} requests a second, with {principal.burst} at once.",
                remedy=f"Send the request again in {wait} s; `Prefer: wait` follows a job with few requests.",
                headers={"Retry-After": str(wait)},
            )


def _owner(principal: Principal) -> UUID:
    return principal.customer_id or principal.key_id


def _limit_headers(principal: Principal, allowance: Allowance) -> list[tuple[bytes, bytes]]:
    """Say what is left, as draft-ietf-httpapi-ratelimit-headers has it: q in w s, r left, all back in t s."""
    window = max(1, round(principal.burst / principal.rate_per_s))
    back = math.ceil((principal.burst - allowance.remaining) / principal.rate_per_s)
    return [
        (b"ratelimit-policy", b'"requests";q=%d;w=%d' % (principal.burst, window)),
        (b"ratelimit", b'"requests";r=%d;t=%d' % (allowance.remaining, back)),
    ]


def acceptable(request: Request, *media_types: str) -> None:
    """Refuse a caller that wants none of the media types that the answer may have."""
    wanted = request.headers.get("accept", "")
    if wanted in _PLAIN and not media_types:
        return
    offered = media_types or ("application/json",)
    if not any(accepts(wanted, media_type) for media_type in offered):
        raise Problem(
            "not_acceptable",
            f"The answer would be {' or '.join(offered)}, which the Accept header excludes.",
            field="/headers/Accept",
            remedy=f"Send Accept: {offered[0]}, or none.",
        )


def _unauthorized(detail: str) -> Problem:
    return Problem(
        "unauthorized",
        detail,
        field="/headers/Authorization",
        remedy="Send the header Authorization: Bearer <key>.",
        headers={"WWW-Authenticate": "Bearer"},
    )
