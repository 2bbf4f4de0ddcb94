"""Page tokens: opaque, carrying the place and the filters of a list, and bound to whose list it is.

The check value guards against damage, mixing up and guesswork, not against forgery: whatever a token says, the query
behind it is limited to the caller's own rows, so a forged one shows nothing that the caller may not see.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json, to_json

from invoicing.kit.problems import Problem

_CHECK_BYTES = 9
_LONGEST = 2_000


def token_of(owner: str, place: Mapping[str, Any]) -> str:
    """Write a page token for a list of that owner."""
    body = to_json(place)
    return _spelt(_check(owner, body) + body)


def place_of(owner: str, token: str) -> dict[str, Any]:
    """Read a page token; raises `Problem` when it was damaged, or is another owner's or another list's."""
    body = _checked(owner, token)
    if body is None:
        raise Problem(
            "bad_request",
            "This page_token was not made by this list.",
            field="/query/page_token",
            remedy="Use next_page_token as it came, or leave page_token out to start again.",
        )
    return dict(from_json(body))


def _checked(owner: str, token: str) -> bytes | None:
    if len(token) > _LONGEST:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    check, body = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    # the same bytes have several spellings in base64; only ours counts
    return body if check == _check(owner, body) and _spelt(check + body) == token else None


def _spelt(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _check(owner: str, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK_BYTES, key=owner.encode()[:64]).digest()
