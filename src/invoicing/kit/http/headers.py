"""Reading request headers, as pure functions: Accept, ETag conditions, Prefer, Range, Idempotency-Key."""

import re
from dataclasses import dataclass
from datetime import timedelta

from invoicing.kit.http.contract import Parameter
from invoicing.kit.problems import Problem

LONGEST_WAIT = timedelta(seconds=60)

IDEMPOTENCY_KEY = Parameter(
    "header",
    "Idempotency-Key",
    "A fresh value for each new request; the same one again when a request is repeated.",
    {"type": "string", "pattern": "^[!-~]{1,255}$", "minLength": 1, "maxLength": 255},
    required=True,
)

_KEY = re.compile(r"[!-~]{1,255}")
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=$|[,;])', re.IGNORECASE)
_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE)


def accepts(header: str | None, media_type: str) -> bool:
    """Tell whether an Accept header allows a media type (RFC 9110 section 12.5.1)."""
    if header is None or not header.strip():
        return True
    best: tuple[int, float] = (-1, 0.0)
    for offered in header.split(","):
        name, _, parameters = offered.strip().lower().partition(";")
        precision = _matches(name.strip(), media_type)
        if precision > best[0]:
            best = (precision, _quality(parameters))
    return best[1] > 0


def prefers(header: str | None, media_type: str) -> bool:
    """Tell whether an Accept header names a media type itself, not merely allows it."""
    return header is not None and any(
        offered.partition(";")[0].strip().lower() == media_type for offered in header.split(",")
    )


def _matches(name: str, media_type: str) -> int:
    if name == media_type:
        return 2
    if name == f"{media_type.partition('/')[0]}/*":
        return 1
    return 0 if name == "*/*" else -1


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def none_match(header: str | None, tag: str) -> bool:
    """Tell whether an If-None-Match header leaves the answer to be sent: weak comparison, RFC 9110 section 13.1.2."""
    if header is None:
        return True
    if header.strip() == "*":
        return False
    return tag not in {found[1] for found in _TAG.findall(header)}


def if_range_holds(header: str | None, tag: str) -> bool:
    """Tell whether a Range may be used: strong comparison of If-Range (RFC 9110 section 13.1.5); dates never match."""
    return header is None or header.strip() == f'"{tag}"'


def wait_preferred(header: str | None) -> timedelta | None:
    """Read `wait` from a Prefer header (RFC 7240 section 4.3), bounded; None when it does not say."""
    found = None if header is None else _WAIT.search(header)
    return None if found is None else min(timedelta(seconds=int(found[1])), LONGEST_WAIT)


@dataclass(frozen=True)
class Span:
    """Bytes of a file from `first` up to, not including, `end`."""

    first: int
    end: int

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.end - self.first


def span_of(header: str | None, size: int) -> Span | None:
    """Read a Range header of one range (RFC 9110 section 14.1.2); None when the whole is to be sent.

    What is malformed, of another unit or of several ranges is ignored, as the standard allows; what cannot be
    satisfied raises `Problem` with the Content-Range that it demands.
    """
    found = None if header is None else _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if len(found[1]) > 18 or len(found[2]) > 18:  # beyond any file; keeps the numbers small
        raise _unsatisfiable(size)
    if not found[1]:
        first, end = max(0, size - int(found[2])), size
    else:
        first, end = int(found[1]), size if not found[2] else min(size, int(found[2]) + 1)
        if found[2] and int(found[2]) < first:
            return None
    if first >= end:
        raise _unsatisfiable(size)
    return Span(first, end)


def _unsatisfiable(size: int) -> Problem:
    return Problem(
        "range_not_satisfiable",
        f"The file has {size} bytes; the range lies beyond.",
        field="/headers/Range",
        remedy="Ask for a range within the file, or leave the Range header out.",
        headers={"Content-Range": f"bytes */{size}"},
    )


def idempotency_key(given: str | None) -> str:
    """Read the header Idempotency-Key; raises `Problem` when it is missing or of the wrong form."""
    if not given:
        raise Problem(
            "idempotency_key_missing",
            "A request that creates something needs the header Idempotency-Key.",
            field="/headers/Idempotency-Key",
            remedy="Send a fresh UUID, and the same one again whenever this request is repeated.",
        )
    if not _KEY.fullmatch(given):
        raise Problem(
            "bad_request",
            "An Idempotency-Key has 1 to 255 visible ASCII characters.",
            field="/headers/Idempotency-Key",
            remedy="Send a UUID.",
        )
    return given
