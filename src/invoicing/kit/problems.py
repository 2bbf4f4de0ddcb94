"""Errors a caller can act on: one class with a stable code; HTTP meets them in `kit.http` alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

STATUS = {
    "bad_request": 400,
    "bad_input": 422,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "request_timeout": 408,
    "conflict": 409,
    "in_flight": 409,
    "gone": 410,
    "precondition_failed": 412,
    "too_large": 413,
    "unsupported_media_type": 415,
    "range_not_satisfiable": 416,
    "idempotency_key_missing": 400,
    "idempotency_key_reused": 422,
    "unknown_webhook": 422,
    "rate_limited": 429,
    "customer_limit": 429,
    "too_much_waiting": 429,
    "overloaded": 429,
    "internal": 500,
    "unavailable": 503,
}
"""Every code a problem may carry, and the HTTP status it is sent with."""


@dataclass(frozen=True)
class Finding:
    """One thing wrong with what was sent: which rule, where (RFC 6901 JSON pointer), what, and what to do."""

    code: str
    field: str
    message: str
    remedy: str = ""


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """A refusal that tells the caller what to do; `code` is one of `STATUS`, `facts` are members of its own."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        remedy: str = "",
        findings: Sequence[Finding] = (),
        headers: Mapping[str, str] | None = None,
        facts: Mapping[str, str | float] | None = None,
    ) -> None:
        """Refuse an unknown code where it is written, not where it is sent."""
        if code not in STATUS:
            raise ValueError(f"unknown problem code {code!r}")
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.remedy = remedy
        self.findings = tuple(findings)
        self.headers = dict(headers or {})
        self.facts = dict(facts or {})

    @property
    def status(self) -> int:
        """The HTTP status of this problem."""
        return STATUS[self.code]
