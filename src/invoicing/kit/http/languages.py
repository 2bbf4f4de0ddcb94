"""The language of an answer: chosen by Accept-Language, told with the answer, and part of its entity tag."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from invoicing.kit.http.contract import Parameter

ACCEPT_LANGUAGE = Parameter(
    "header", "Accept-Language", "The languages that the reader prefers (RFC 9110); else English."
)

LANGUAGE_HEADERS: Mapping[str, str] = {"Content-Language": "The language of the sentences in it."}

_LONGEST = 1_000
"""Characters of a header that are read: no reader knows so many languages."""

_RANGE = re.compile(
    r"\s*(?P<tag>\*|[a-z]{1,8}(?:-[a-z0-9]{1,8})*)\s*(?:;\s*q\s*=\s*(?P<q>0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Spoken:
    """The language in which an answer is worded."""

    code: str
    usual: bool
    """Whether it is the one that answers are in unless somebody asks for another."""

    def tag(self, revision: int) -> str:
        """Give the entity tag of a revision; other languages have their own, so that none is taken for another."""
        return str(revision) if self.usual else f"{revision}-{self.code}"

    @property
    def headers(self) -> Mapping[str, str]:
        """Tell the language, and what it depends on."""
        return {"Content-Language": self.code, "Vary": "Accept-Language"}


@dataclass(frozen=True)
class Languages:
    """The languages there are (BCP 47), the usual one first."""

    codes: tuple[str, ...]

    def asked_for(self, header: str | None) -> Spoken:
        """Choose by an Accept-Language header."""
        code = preferred(header, self.codes)
        return Spoken(code, usual=code == self.codes[0])


def preferred(header: str | None, offered: tuple[str, ...]) -> str:
    """Choose a language by an Accept-Language header (RFC 9110 section 12.5.4); the first offered where none is wanted.

    A range matches the language that it, or what it begins with, names (RFC 4647 section 3.4): `de-AT` is answered in
    `de`. Of languages wanted equally, the one named first is taken.
    """
    return _preferred((header or "")[:_LONGEST], offered)


@lru_cache(maxsize=256)
def _preferred(header: str, offered: tuple[str, ...]) -> str:
    ranges = _ranges(header)
    ranked = [(*_wanted(code, ranges), -place, code) for place, code in enumerate(offered)]
    quality, _, _, best = max(ranked)
    return best if quality > 0 else offered[0]


def _ranges(header: str) -> Sequence[tuple[str, float]]:
    """Read the ranges with their qualities; what is malformed is left out."""
    found = [_RANGE.fullmatch(part) for part in header.split(",")]
    return [(one["tag"].lower(), float(one["q"] or 1)) for one in found if one]


def _wanted(code: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """Tell how much a language is wanted, and how early it is named: by its own name, else a narrower one, else `*`."""
    own = [(quality, -place) for place, (tag, quality) in enumerate(ranges) if tag == code]
    narrower = [(quality, -place) for place, (tag, quality) in enumerate(ranges) if tag.startswith(f"{code}-")]
    anything = [(quality, -place) for place, (tag, quality) in enumerate(ranges) if tag == "*"]
    return max(own or narrower or anything, default=(0.0, 0))
