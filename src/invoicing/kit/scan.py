"""Finding members and items of a large JSON document where they lie, without building any of it.

Only the outline is read here: strings, brackets and what separates values. Every piece that is found goes through the
strict parser afterwards, so a document that is no JSON inside a piece is refused there, byte for byte as if it had been
read whole.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

from pydantic_core import from_json

Buffer = bytes | mmap

_DEEPEST = 200
"""As the strict parser has it."""

_LONGEST_NAME = 1_000

_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb'[^ \t\r\n,:"{}\[\]]++')
_RUN = re.compile(rb'[^"{}\[\]]*+(?:"(?:[^"\\]|\\.)*+"[^"{}\[\]]*+)*+', re.DOTALL)
"""All up to the next bracket outside of strings."""


class OutlineError(ValueError):
    """The document's outline is broken at `place` (bytes from its beginning)."""

    def __init__(self, what: str, place: int) -> None:
        """Say what was found, and where."""
        super().__init__(what)
        self.what = what
        self.place = place


@dataclass(frozen=True)
class Piece:
    """Bytes of the document from `first` up to, not including, `end`."""

    first: int
    end: int


def members(data: Buffer, at: int) -> Iterator[tuple[str, Piece]]:
    """Give the members of the object that begins at `at`: names and where their values lie."""
    at = _expect(data, _skip(data, at), b"{", "an object")
    seen: set[str] = set()
    while True:
        at = _skip(data, at)
        if not seen and data[at : at + 1] == b"}":
            return
        name, at = _name(data, at)
        if name in seen:
            raise OutlineError(f"the field {name!r} is given twice", at)
        seen.add(name)
        value = value_at(data, _skip(data, _expect(data, _skip(data, at), b":", "a colon")))
        yield name, value
        at = _skip(data, value.end)
        if data[at : at + 1] == b"}":
            return
        at = _expect(data, at, b",", "a comma or the end of the object")


def items(data: Buffer, at: int) -> Iterator[Piece]:
    """Give the items of the array that begins at `at`."""
    at = _skip(data, _expect(data, at, b"[", "an array"))
    if data[at : at + 1] == b"]":
        return
    while True:
        item = value_at(data, at)
        yield item
        at = _skip(data, item.end)
        if data[at : at + 1] == b"]":
            return
        at = _skip(data, _expect(data, at, b",", "a comma or the end of the array"))


def value_at(data: Buffer, at: int) -> Piece:
    """Find the end of the value that begins at `at`."""
    lead = data[at : at + 1]
    if lead in {b"{", b"["}:
        return Piece(at, _closing(data, at))
    found = _STRING.match(data, at) if lead == b'"' else _SCALAR.match(data, at)
    if found is None:
        raise OutlineError("expected a value", at)
    return Piece(at, found.end())


def _closing(data: Buffer, at: int) -> int:
    depth, end, size = 0, at, len(data)
    while True:
        depth += 1 if data[end] in b"{[" else -1
        if depth > _DEEPEST:
            raise OutlineError("nested too deeply", end)
        end += 1
        if depth == 0:
            return end
        found = _RUN.match(data, end)
        end = size if found is None else found.end()
        if end >= size or data[end] not in b"{}[]":
            raise OutlineError("ends in the middle of a value", min(end, size))


def _name(data: Buffer, at: int) -> tuple[str, int]:
    found = _STRING.match(data, at)
    if found is None or found.end() - at > _LONGEST_NAME:
        raise OutlineError("expected a field's name in quotes", at)
    try:
        return str(from_json(found[0])), found.end()
    except ValueError as error:
        raise OutlineError("a field's name is no valid string", at) from error


def _expect(data: Buffer, at: int, wanted: bytes, named: str) -> int:
    if data[at : at + 1] != wanted:
        raise OutlineError(f"expected {named}", at)
    return at + 1


def _skip(data: Buffer, at: int) -> int:
    found = _SPACE.match(data, at)
    return at if found is None else found.end()


def line_and_column(data: Buffer, place: int) -> tuple[int, int]:
    """Say where a place is, as an editor would: line and column (bytes) from 1."""
    line, last = 1, 0
    for begin in range(0, place, 1 << 20):
        piece = data[begin : min(begin + (1 << 20), place)]
        line += piece.count(b"\n")
        newline = piece.rfind(b"\n")
        last = begin + newline + 1 if newline >= 0 else last
    return line, place - last + 1
