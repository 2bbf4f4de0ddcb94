"""What pydantic refuses, in clear sentences with JSON pointers; what was sent is never echoed."""

import re
from collections.abc import Iterable, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from invoicing.kit.problems import Finding, Problem

MOST_FINDINGS = 50
"""More than this helps nobody who corrects a request by hand, or by program."""

_LONGEST_MESSAGE = 300
_OWN = "Value error, "
"""What pydantic puts before the words of our own checks."""

_PLACE = re.compile(r" at line (\d+) column (\d+)$")

_MESSAGES = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field.",
    "union_tag_not_found": "This field is required.",
    "string_too_short": "The text is too short.",
    "datetime_type": "This must be a time in RFC 3339, such as 2026-11-22T09:00:00Z.",
    "datetime_from_date_parsing": "This must be a time in RFC 3339, such as 2026-11-22T09:00:00Z.",
    "datetime_parsing": "This must be a time in RFC 3339, such as 2026-11-22T09:00:00Z.",
    "timezone_aware": "The time needs its offset from UTC, such as Z.",
}
_FORMS = {
    r"^[^\x00]*[^\s\x00][^\x00]*$": "The text is blank.",
    r"^[^\x00-\x1f\x7f]+$": "The text holds a line break or another control character.",
    r"^[A-Z]{2}$": "This must be two capital letters, such as DE.",
    r"^[A-Z]{3}$": "This must be three capital letters, such as EUR.",
    r"^[a-z0-9][a-z0-9-]{0,62}$": "This must be small letters, digits and hyphens, such as acme-2.",
    r"^[A-Za-z0-9]{32}$": "This must be 32 letters and digits.",
    r"^https?://[!-~]+$": "This must be a URL that begins with https://, without blanks.",
    r"^([01]\d|2[0-3]):[0-5]\d$": "This must be a time of day, such as 09:00.",
}
"""What patterns ask for, in words; of others the pattern itself is shown."""

_A_MAIL = "This must be a mail address, such as billing@example.com."

_REMEDIES = {
    "missing": "Add the field.",
    "extra_forbidden": "Remove the field, or correct its name.",
    "union_tag_not_found": "Add the field.",
}


def pointer(place: Iterable[int | str]) -> str:
    """Write a place as an RFC 6901 JSON pointer."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in place)


def findings_of(error: ValidationError, base: str = "", *, first_index: int = 0, tags: int = 0) -> list[Finding]:
    """Word what pydantic refused.

    `base` is the pointer of what was validated, `first_index` is added to the first step (the place of a part in its
    whole), and `tags` leading steps (names of union members, not of fields) are dropped.
    """
    return [
        _finding(details, base, first_index, tags)
        for details in error.errors(include_url=False, include_input=False)[:MOST_FINDINGS]
    ]


def _finding(details: ErrorDetails, base: str, first_index: int, tags: int) -> Finding:
    place = list(details["loc"][tags:])
    if place and isinstance(place[0], int):
        place[0] += first_index
    kind = details["type"]
    return Finding(
        code=kind,
        field=base + pointer(place),
        message=_MESSAGES.get(kind) or _form(details) or _sentence(details["msg"]),
        remedy=_REMEDIES.get(kind, "Correct the value."),
    )


def _form(details: ErrorDetails) -> str | None:
    pattern = details.get("ctx", {}).get("pattern")
    if pattern is None:
        return None
    return _A_MAIL if "@" in pattern else _FORMS.get(pattern, f"This must have the form {pattern}")


def _sentence(message: str) -> str:
    message = message.removeprefix(_OWN)
    text = message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "…")) else text + "."


def malformed(error: ValidationError) -> Problem | None:
    """Give the problem of a body that is no JSON at all; None when it is JSON, of the wrong shape."""
    first = error.errors(include_url=False, include_input=False)[0]
    return no_json(first["msg"].removeprefix("Invalid JSON: ")) if first["type"] == "json_invalid" else None


def no_json(what: str, field: str = "") -> Problem:
    """Refuse a body that cannot be read as JSON, naming line and column."""
    found = _PLACE.search(what)
    where = f"line {found[1]}, column {found[2]}: " if found else ""
    return Problem(
        "bad_request",
        f"The body is not valid JSON: {where}{_PLACE.sub('', what)}.",
        field=field,
        remedy="Send one JSON document in UTF-8.",
    )


def refused(findings: Sequence[Finding]) -> Problem:
    """Refuse a request for what was found in it; the first finding is also told in the problem itself."""
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return Problem(
        "bad_input",
        f"{first.field or '/'}: {first.message}{more}",
        field=first.field,
        remedy=first.remedy,
        findings=findings,
    )
