"""Reading the query part of an address."""

from datetime import datetime
from typing import Any

from fastapi import Request
from pydantic import TypeAdapter, ValidationError

from invoicing.kit.http.contract import Parameter
from invoicing.kit.moments import Moment
from invoicing.kit.problems import Problem

LARGEST_PAGE = 200
USUAL_PAGE = 50

PAGE_SIZE = Parameter(
    "query",
    "page_size",
    f"Items of a page; brought into 1 to {LARGEST_PAGE}, {USUAL_PAGE} when left out.",
    {"type": "integer"},
)
PAGE_TOKEN = Parameter(
    "query", "page_token", "`next_page_token` of the page before; it carries the filters.", {"type": "string"}
)

_TIME: TypeAdapter[datetime] = TypeAdapter(Moment)


def query_text(request: Request, name: str, longest: int = 200) -> str | None:
    """Read a parameter that is text; None when it was left out."""
    value = request.query_params.get(name)
    if value is not None and (len(value) > longest or not value.isprintable()):
        raise wrong(name, f"{name} must be at most {longest} printable characters.", "Correct it, or leave it out.")
    return value


def query_whole(request: Request, name: str) -> int | None:
    """Read a parameter that is a whole number; None when it was left out."""
    value = request.query_params.get(name)
    if value is None:
        return None
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise wrong(name, f"{name} must be a whole number.", "Correct it, or leave it out.")
    return max(-(2**31), min(2**31 - 1, int(value[:20])))


def query_flag(request: Request, name: str) -> bool:
    """Read a parameter that is true or false; left out it is false."""
    value = request.query_params.get(name, "false")
    if value not in {"true", "false"}:
        raise wrong(name, f"{name} must be true or false.", "Correct it, or leave it out.")
    return value == "true"


def query_time(request: Request, name: str) -> datetime | None:
    """Read a parameter that is a time with its offset; None when it was left out."""
    value = request.query_params.get(name)
    if value is None:
        return None
    try:
        return _TIME.validate_strings(value)
    except ValidationError as error:
        raise wrong(
            name, f"{name} must be a time in RFC 3339, such as 2026-11-22T09:00:00Z.", "Mind that + is %2B here."
        ) from error


def page_size_of(request: Request) -> int:
    """Read page_size, bringing it into its bounds."""
    size = query_whole(request, "page_size")
    return USUAL_PAGE if size is None else max(1, min(LARGEST_PAGE, size))


def wrong(name: str, detail: str, remedy: str, **more: Any) -> Problem:  # noqa: ANN401 - passed on
    """Refuse a parameter."""
    return Problem("bad_request", detail, field=f"/query/{name}", remedy=remedy, **more)
