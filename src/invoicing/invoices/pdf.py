"""The invoice for people: a PDF/A-3b with the CII inside it (Factur-X); the same input gives the same bytes."""

import io
import json
from dataclasses import asdict
from datetime import UTC, datetime, time
from functools import cache
from pathlib import Path
from typing import BinaryIO

import typst

from invoicing.invoices.print import factur_x
from invoicing.invoices.print.glyphs import FONTS, breakable, printable
from invoicing.invoices.print.view import PrintedInvoice

TEMPLATE = Path(__file__).parent / "print" / "invoice.typ"
_BLANK = TEMPLATE.with_name("blank.typ")
# typst keeps what it worked out for the last ten documents: 100 MB each at 1,000 lines, so a gigabyte in the end.
_REMEMBERED = 10
_WORTH_FORGETTING = 50  # lines


def render_pdf(view: PrintedInvoice, cii: bytes | Path) -> bytes:
    """Make the finished PDF/A-3b; for a large CII use `write_pdf`, which holds neither of the two."""
    out = io.BytesIO()
    with io.BytesIO(cii) if isinstance(cii, bytes) else cii.open("rb") as source:
        write_pdf(view, source, out)
    return out.getvalue()


def write_pdf(view: PrintedInvoice, cii: BinaryIO, out: BinaryIO) -> None:
    """Write the finished PDF/A-3b to `out`; the CII is read once, and compressed through a temporary file."""
    issued = datetime.combine(view.issue_date, time(), UTC)
    factur_x.embed(typeset(view, issued), cii, out, issued)


def typeset(view: PrintedInvoice, issued: datetime) -> bytes:
    """Set the page alone. What it says reaches the template as JSON, never as source, so no text can be code."""
    compiler = _compiler()
    pdf = compiler.compile(
        TEMPLATE,
        format="pdf",
        sys_inputs={"view": json.dumps(_fitted(asdict(view)), default=str)},
        pdf_standards="a-3b",
        timestamp=issued,
    )
    if not isinstance(pdf, bytes):
        raise TypeError("the typesetter gave no PDF")
    if len(view.lines) + len(view.groups) > _WORTH_FORGETTING:
        _forget(compiler)
    return pdf


def _forget(compiler: typst.Compiler) -> None:
    for _ in range(_REMEMBERED + 1):
        compiler.compile(_BLANK, format="pdf", sys_inputs=None)


@cache
def _compiler() -> typst.Compiler:
    """Read the fonts once in the life of the process."""
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONTS])
    return typst.Compiler(TEMPLATE, root=TEMPLATE.parent, font_paths=fonts, ignore_system_fonts=True)


def _fitted(value: object) -> object:
    match value:
        case str():
            return breakable(printable(value))
        case dict():
            return {key: part if key == "qr" else _fitted(part) for key, part in value.items()}
        case list() | tuple():
            return [_fitted(part) for part in value]
        case _:
            return value
