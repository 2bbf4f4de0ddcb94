"""Which characters the bundled fonts can print, and how any text is made printable with them.

PDF/A forbids a reference to a missing glyph (ISO 19005-3, 6.2.11.8), and the typesetter refuses to write such a file: a
single pictogram in an item's name would make the invoice impossible. So text is fitted to the fonts first.
"""

import re
import struct
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

FONTS = Path(__file__).parent / "fonts"
MISSING = "□"
LONGEST_WORD = 24  # characters; about what the narrowest text column takes at its size
PIECE = 12

_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")

# They turn the order of what follows around, so that an amount may read backwards; the fonts draw nothing for them.
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SPACES = {"\n": "\n", "\r": "", "\t": " ", "\v": " ", "\f": " ", "\x85": " "}
_NEVER = frozenset(
    {"Cc", "Cs", "Co", "Cn"}
)  # a font may draw its own sign for a private code point; nobody knows which


@cache
def printable_characters() -> frozenset[int]:
    """Every code point that at least one bundled font has a glyph for."""
    return frozenset(code for font in sorted(FONTS.glob("*.?tf")) for code in _mapped(font.read_bytes()))


def printable(text: str) -> str:
    """Write the same text in characters that the fonts have; what cannot be drawn becomes a box."""
    known = printable_characters()
    return "".join(_fitted(char, known) for char in unicodedata.normalize("NFC", text))


def breakable(text: str) -> str:
    """Allow a line break inside words that are longer than a column (a zero-width space prints as nothing)."""
    return _LONG_WORD.sub(_pieces, text)


def _fitted(char: str, known: frozenset[int]) -> str:
    if char in _BIDI_CONTROLS:
        return ""
    if char in _SPACES:
        return _SPACES[char]
    return char if ord(char) in known and unicodedata.category(char) not in _NEVER else _instead(char, known)


def _instead(char: str, known: frozenset[int]) -> str:
    match unicodedata.category(char)[0], unicodedata.category(char):
        case ("Z", _):
            return " "
        case ("M", _) | (_, "Cc" | "Cf"):  # a mark without its glyph, a control: nothing to see, and nothing lost
            return ""
    plain = unicodedata.normalize("NFKC", char)  # a ligature or a circled digit, say
    return plain if plain != char and all(ord(part) in known for part in plain) else MISSING


def _pieces(match: re.Match[str]) -> str:
    word = match[0]
    return "\u200b".join(word[start : start + PIECE] for start in range(0, len(word), PIECE))


def _mapped(font: bytes) -> Iterator[int]:
    """Code points of the `cmap` table, formats 4 and 12 (OpenType 1.9, 5.2.1); every font shipped has one of them."""
    table = _table(font, b"cmap")
    (count,) = struct.unpack_from(">H", font, table + 2)
    for index in range(count):
        (offset,) = struct.unpack_from(">I", font, table + 4 + 8 * index + 4)
        start = table + offset
        match struct.unpack_from(">H", font, start):
            case (4,):
                yield from _format_4(font, start)
            case (12,):
                yield from _format_12(font, start)


def _table(font: bytes, tag: bytes) -> int:
    (count,) = struct.unpack_from(">H", font, 4)
    for index in range(count):
        name, _, offset, _ = struct.unpack_from(">4sIII", font, 12 + 16 * index)
        if name == tag:
            return int(offset)
    raise ValueError(f"a bundled font has no {tag.decode()} table")


def _format_4(font: bytes, start: int) -> Iterator[int]:
    segments = struct.unpack_from(">H", font, start + 6)[0] // 2
    row = f">{segments}H"
    ends = struct.unpack_from(row, font, start + 14)
    starts = struct.unpack_from(row, font, start + 16 + 2 * segments)
    deltas = struct.unpack_from(row, font, start + 16 + 4 * segments)
    ranges_at = start + 16 + 6 * segments
    ranges = struct.unpack_from(row, font, ranges_at)
    for index, (first, last, delta, offset) in enumerate(zip(starts, ends, deltas, ranges, strict=True)):
        for code in range(first, min(last, 0xFFFE) + 1):
            glyph = code
            if offset:
                (glyph,) = struct.unpack_from(">H", font, ranges_at + 2 * index + offset + 2 * (code - first))
            if (offset == 0 or glyph) and (glyph + delta) & 0xFFFF:
                yield code


def _format_12(font: bytes, start: int) -> Iterator[int]:
    (groups,) = struct.unpack_from(">I", font, start + 12)
    for index in range(groups):
        first, last, glyph = struct.unpack_from(">III", font, start + 16 + 12 * index)
        yield from range(first if glyph else first + 1, last + 1)
