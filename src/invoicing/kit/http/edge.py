"""The outermost layer of the web process: a reference on every answer, safe headers, and every error a problem."""

import logging
import secrets
import time
from collections.abc import Iterable
from typing import Protocol

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from invoicing.kit.db import is_away, may_pass
from invoicing.kit.http.answers import refusal
from invoicing.kit.problems import Problem

log = logging.getLogger(__name__)

_SAFE = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox")
_PRIVATE = (b"cache-control", b"no-store")

_REFERENCE = "invoicing.support_reference"
_HEADERS = "invoicing.headers"

_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
}
_DETAILS = {
    404: ("There is nothing at this address.", "GET /openapi.json lists every address."),
    405: ("This address does not know this method.", "Use one of the methods in the Allow header."),
}


def support_reference(request: Request) -> str:
    """Give the reference under which this request is found in the logs."""
    reference: str = request.scope[_REFERENCE]
    return reference


def set_headers(request: Request, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Have these headers put on the answer of this request, whatever it will be; the last call counts."""
    request.scope[_HEADERS][:] = headers


class Counting(Protocol):
    """Counts what is answered."""

    def note(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count an answer that begins; no route: there is nothing at the address."""

    def refused(self, code: str) -> None:
        """Count a problem that is answered with."""


class Edge:
    """Pure ASGI: nothing is buffered and no task is started for it."""

    def __init__(self, app: ASGIApp, counting: Counting, route: str | None = None) -> None:
        """Wrap an application, or what answers one route."""
        self._app = app
        self._counting = counting
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; turn whatever is raised before the answer has begun into a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reference = scope[_REFERENCE] = secrets.token_hex(8)
        added: list[tuple[bytes, bytes]] = []
        scope[_HEADERS] = added
        begun, since = False, time.perf_counter()

        async def dressed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                took = time.perf_counter() - since
                self._counting.note(self._route or _route(scope), scope["method"], message["status"], took)
                message["headers"] = _dress(message["headers"], reference, added)
            await send(message)

        try:
            await self._app(scope, receive, dressed)
        except ClientDisconnect:
            return
        except Exception as error:
            if begun:
                log.exception("an answer broke off", extra={"action": "http.broken", "support_reference": reference})
                raise
            problem = problem_of(error, reference)
            self._counting.refused(problem.code)
            await refusal(problem, reference)(scope, receive, dressed)


def _route(scope: Scope) -> str | None:
    """Give the template of the route that was found, such as `/v1/jobs/{job_id}`."""
    path: str | None = getattr(scope.get("route"), "path_format", None)
    return path


def _dress(
    headers: Iterable[tuple[bytes, bytes]], reference: str, added: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    dressed = [*headers, (b"support-reference", reference.encode()), *_SAFE, *added]
    names = {name for name, _ in dressed}
    return dressed + [header for header in (_POLICY, _PRIVATE) if header[0] not in names]


def problem_of(error: Exception, reference: str) -> Problem:
    """Give what the caller may know of an error; what it may not is logged under the reference."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        detail, remedy = _DETAILS.get(error.status_code, (str(error.detail), ""))
        return Problem(_CODES.get(error.status_code, "bad_request"), detail, remedy=remedy, headers=error.headers)
    away = is_away(error)
    log.error(
        "the database is away" if away else "a request failed",
        exc_info=error,
        extra={"action": "http.unavailable" if away else "http.failed", "support_reference": reference},
    )
    if away:
        return Problem(
            "unavailable",
            "The service cannot reach its ledger at the moment; nothing was changed.",
            remedy="Send the same request again after the time in Retry-After.",
            headers={"Retry-After": "5"},
        )
    if may_pass(error):
        return Problem(
            "unavailable",
            "Others have been changing the same thing for too long; nothing was changed.",
            remedy="Send the same request again after the time in Retry-After.",
            headers={"Retry-After": "2"},
        )
    return Problem(
        "internal",
        "The request failed unexpectedly.",
        remedy="Send it again; if it fails again, tell our support the support_reference.",
    )


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Let the edge word what the router raises; a 405 names the methods of every route of that address."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        error.headers = {"Allow": ", ".join(sorted(_methods_here(request)))}
    raise error


def _methods_here(request: Request) -> set[str]:
    methods: set[str] = set()
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods |= set(getattr(route, "methods", None) or ())
    return methods
