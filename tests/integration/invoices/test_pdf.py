"""The finished PDF, read back by readers that had no part in making it."""

import hashlib
import io
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, cast

import pikepdf
import psutil
import pypdf
import pytest
from typing_extensions import Buffer

from invoicing.invoices.model import (
    Account,
    Address,
    Attachment,
    DocumentType,
    Header,
    Line,
    Party,
    Payment,
    PrecedingInvoice,
    Vat,
    VatCategory,
)
from invoicing.invoices.pdf import render_pdf, write_pdf
from invoicing.invoices.print.glyphs import MISSING, printable, printable_characters
from invoicing.invoices.print.page import Summary, SummaryGroup, printed
from invoicing.invoices.print.view import PrintedInvoice
from invoicing.invoices.totals import Sums, finish

STANDARD = Vat(VatCategory.STANDARD, Decimal(19))
HEADER = Header(
    type=DocumentType.INVOICE,
    series="2026",
    currency="EUR",
    issue_date=date(2026, 11, 22),
    due_date=date(2026, 12, 6),
    seller=Party("Cloud GmbH", Address("DE", "Hauptstraße 1", postcode="10115", city="Berlin"), vat_id="DE136695976"),
    buyer=Party("Acme AG", Address("DE", "Kai 7", postcode="20095", city="Hamburg")),
    payment=Payment("58", accounts=(Account(iban="DE02120300000000202051"),)),
)
CII = b"<?xml version='1.0'?><rsm:CrossIndustryInvoice xmlns:rsm='urn:x'>\xc3\xa4</rsm:CrossIndustryInvoice>"


def line(position: int, name: str = "Compute") -> Line:
    return Line(str(position), name, Decimal(3), "HUR", Decimal("1.05"), STANDARD)


def page_of(header: Header = HEADER, lines: tuple[Line, ...] = (line(1),), number: str = "2026-1") -> PrintedInvoice:
    return printed(header, lines, finish(Sums.of(lines), header), number, "en")


def read(pdf: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(pdf), strict=True)


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in read(pdf).pages)


def test_another_reader_finds_the_very_bytes_of_the_xml() -> None:
    assert read(render_pdf(page_of(), CII)).attachments == {"factur-x.xml": [CII]}


def test_the_xml_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "cii.xml").write_bytes(CII)
    assert render_pdf(page_of(), tmp_path / "cii.xml") == render_pdf(page_of(), CII)


def test_the_page_says_what_is_owed() -> None:
    text = text_of(render_pdf(page_of(), CII))
    for said in ("Invoice 2026-1", "22 November 2026", "Acme AG", "Compute", "3.15", "0.60", "Page 1 of 1"):
        assert said in text
    assert "DE02\xa01203\xa00000\xa00000\xa02020\xa051" in text


def test_a_viewer_shows_title_language_and_date() -> None:
    reader = read(render_pdf(page_of(), CII))
    assert reader.metadata is not None
    assert reader.metadata.title == "Invoice 2026-1"
    assert reader.metadata.author == "Cloud GmbH"
    assert reader.metadata.creation_date is not None
    assert reader.metadata.creation_date.date() == HEADER.issue_date
    with pikepdf.open(io.BytesIO(render_pdf(page_of(), CII))) as pdf:
        assert str(pdf.Root.Lang) == "en"
        assert pdf.Root.MarkInfo.Marked


def test_a_retry_in_another_process_gives_the_same_bytes() -> None:
    program = (
        "import runpy, hashlib, sys; it = runpy.run_path(sys.argv[1]);"
        "print(hashlib.sha256(it['render_pdf'](it['page_of'](), it['CII'])).hexdigest())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program, __file__],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
        ).stdout.strip()
        for seed, zone in (("1", "UTC"), ("2", "Asia/Shanghai"))
    }
    assert runs == {hashlib.sha256(render_pdf(page_of(), CII)).hexdigest()}


def test_every_page_repeats_the_head_and_counts_pages() -> None:
    reader = read(render_pdf(page_of(lines=tuple(line(n, f"Machine {n}") for n in range(1, 91))), CII))
    pages = [page.extract_text() for page in reader.pages]
    assert len(pages) >= 3
    assert all(f"Page {number} of {len(pages)}" in text for number, text in enumerate(pages, 1))
    with_lines = [text for text in pages if "Machine" in text]
    assert len(with_lines) >= 2
    assert all("Unit price" in text for text in with_lines)


def test_a_credit_note_names_its_invoice() -> None:
    corrected = PrecedingInvoice("2026-0007", date(2026, 11, 1))
    header = replace(HEADER, type=DocumentType.CREDIT_NOTE, preceding_invoice=corrected, due_date=None)
    text = text_of(render_pdf(page_of(header), CII))
    assert "Credit note 2026-1" in text
    assert "This credit note corrects invoice 2026-0007 of 1 November 2026." in text
    assert "Please pay" not in text


def test_a_large_invoice_prints_its_summary_and_names_the_detail() -> None:
    lines = [line(n) for n in range(1, 1201)]
    totals = finish(Sums.of(lines), HEADER)
    view = printed(HEADER, Summary((SummaryGroup("Compute 2019-01", 1200, totals.lines),)), totals, "2026-1", "en")
    text = text_of(render_pdf(view, CII))
    assert "1,200 lines" in text
    assert "invoice.lines.csv" in text
    assert "Compute 2019-01" in text
    assert "3,780.00" in text


@pytest.mark.parametrize(
    "text",
    [
        '#panic("owned")',
        '#import "view.py": *',
        "$1/0$ *bold* _it_ `raw` @ref <label> // gone",
        '"}) #read("/etc/passwd")',
        "\\u{0} #sys.inputs #context here()",
        "</rdf:RDF></rdf:Bag></pdfaExtension:schemas>]]>&lt;",
    ],
)
def test_text_is_never_code(text: str) -> None:
    buyer = replace(HEADER.buyer, name=text)
    header = replace(HEADER, buyer=buyer, seller=replace(HEADER.seller, name=text), notes=(text,))
    said = text_of(render_pdf(page_of(header, (line(1, text),), number=text), CII))
    shown = "".join(said.replace("\u200b", "").split())
    assert shown.count("".join(text.split())) >= 4


def test_no_text_a_customer_may_send_stops_the_invoice() -> None:
    word = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3
    huge = Decimal("123456789012.1234567891")
    hostile = "😀 \x07\x00\ue000\udc80 ﬁ q̃̃́ \u202egnp.exe שָׁלוֹם مرحبا 北京 ไทย हिन्दी"
    party = Party(word, Address("IL", hostile, word, "9" * 200, "1" * 90, word), trading_name=word)
    lines = (
        replace(line(1, word), description=f"{hostile} " * 60, note=word),
        replace(line(2, hostile), quantity=huge, price=huge),
    )
    header = replace(HEADER, seller=party, buyer=party, notes=(word, hostile), attachments=(Attachment(word, hostile),))
    assert len(read(render_pdf(page_of(header, lines, number=word), CII)).pages) < 10


def test_every_character_that_counts_as_printable_can_be_set() -> None:
    everything = [chr(code) for code in sorted(printable_characters()) if not 0xD800 <= code <= 0xDFFF]
    words = [" ".join(everything[start : start + 300]) for start in range(0, len(everything), 300)]
    header = replace(HEADER, notes=tuple(words))
    assert render_pdf(page_of(header), CII).startswith(b"%PDF")


def test_what_no_font_has_prints_as_a_box() -> None:
    assert printable("a😀b") == f"a{MISSING}b"
    assert MISSING in text_of(render_pdf(page_of(replace(HEADER, notes=("smile: 😀",))), CII))


class Endless(io.BytesIO):
    """So many megabytes of XML that were never in memory, of the worst kind: they do not get smaller."""

    def __init__(self, megabytes: int) -> None:
        super().__init__()
        self._left = megabytes << 20

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size > 0, "the whole of it was asked for"
        count = min(size, self._left)
        self._left -= count
        return os.urandom(count)


class Watched(io.FileIO):
    """A file that notes how much memory the process has when it is written to."""

    peak = 0

    def write(self, data: Buffer, /) -> int:
        self.peak = max(self.peak, psutil.Process().memory_info().rss)
        return super().write(data) or 0


def test_a_large_xml_is_embedded_without_being_held(tmp_path: Path) -> None:
    view = page_of()
    render_pdf(view, CII)
    before = psutil.Process().memory_info().rss
    with Watched(tmp_path / "invoice.pdf", "w") as out:
        write_pdf(view, Endless(40), cast("BinaryIO", out))
    assert (tmp_path / "invoice.pdf").stat().st_size > 40 << 20
    assert out.peak - before < 20 << 20
    with pypdf.PdfReader(tmp_path / "invoice.pdf") as reader:
        assert [each.name for each in reader.attachment_list] == ["factur-x.xml"]
