"""Answers: JSON bytes, and problems as `application/problem+json` (RFC 9457)."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Response
from pydantic_core import to_json

from invoicing.kit.findings import MOST_FINDINGS
from invoicing.kit.problems import Problem

log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"

TITLES = {
    "bad_input": "The request cannot be carried out as it is",
    "idempotency_key_missing": "Idempotency-Key is missing",
    "idempotency_key_reused": "Idempotency-Key was used for another request",
    "unknown_webhook": "There is no such webhook",
    "in_flight": "The first request with this key is still being written",
    "rate_limited": "Too many requests",
    "customer_limit": "As many of your jobs wait as may",
    "too_much_waiting": "Too much of your own is waiting already",
    "overloaded": "There is more work than can be done in time",
    "internal": "Something went wrong on our side",
    "unavailable": "The service cannot answer right now",
}


def answer(
    body: Any,  # noqa: ANN401 - whatever pydantic-core can write as JSON
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer with JSON."""
    return Response(to_json(body), status, headers, "application/json")


def problem_body(problem: Problem, reference: str) -> dict[str, Any]:
    """Give the members of a problem; all are always there, and those of its own code come last."""
    return {
        "type": f"urn:invoicing:problem:{problem.code}",
        "title": TITLES.get(problem.code) or HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "field": problem.field,
        "remedy": problem.remedy,
        "errors": [
            {"code": one.code, "field": one.field, "message": one.message, "remedy": one.remedy}
            for one in problem.findings[:MOST_FINDINGS]
        ],
        "support_reference": reference,
        **problem.facts,
    }


def refusal(problem: Problem, reference: str) -> Response:
    """Answer with a problem, and log it with the reference that the caller is given."""
    log.log(
        logging.ERROR if problem.status >= 500 else logging.INFO,
        "refused: %s",
        problem.detail,
        extra={"action": "http.refused", "code": problem.code, "support_reference": reference},
    )
    return Response(to_json(problem_body(problem, reference)), problem.status, problem.headers, PROBLEM)
