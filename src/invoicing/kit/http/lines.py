"""Bodies of many lines (NDJSON), read one line at a time."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from invoicing.kit.http.bodies import Body


@dataclass(frozen=True)
class Line:
    """A line without its end, numbered from 1; `content` is None when it is longer than allowed."""

    number: int
    content: bytes | None


def opened(body: Body) -> BinaryIO:
    """Open a body as a file, whether it is one or not."""
    return io.BytesIO(body.whole) if body.file is None else body.file.open("rb")


def lines_of(file: BinaryIO, longest: int) -> Iterator[Line]:
    """Give the lines that are not blank."""
    number = 0
    while piece := file.readline(longest + 2):
        number += 1
        content: bytes | None = piece.rstrip(b"\r\n")
        if not piece.endswith(b"\n") and len(piece) > longest:
            content = None
            while (rest := file.readline(longest)) and not rest.endswith(b"\n"):
                pass
        if content is None or content.strip():
            yield Line(number, content)


def count(file: BinaryIO, longest: int) -> int:
    """Count the lines that are not blank, and go back to the first."""
    found = sum(1 for _ in lines_of(file, longest))
    file.seek(0)
    return found
