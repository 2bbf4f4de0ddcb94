"""The PDF against the clauses of PDF/A-3b; each clause is also shown to notice a file that breaks it."""

import io
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String

from invoicing.invoices.model import Account, Address, DocumentType, Header, Line, Party, Payment, Vat, VatCategory
from invoicing.invoices.pdf import render_pdf
from invoicing.invoices.print.page import printed
from invoicing.invoices.totals import Sums, finish

from .archival_clauses import CLAUSES, of_type

SELLER = Party("Cloud GmbH", Address("DE", "Hauptstraße 1", postcode="10115", city="Berlin"), vat_id="DE136695976")
BUYER = Party("北京云计算 😀 مرحبا", Address("CN", "朝阳区", postcode="100022", city="北京"))
HEADER = Header(
    type=DocumentType.INVOICE,
    series="2026",
    currency="EUR",
    issue_date=date(2026, 11, 22),
    seller=SELLER,
    buyer=BUYER,
    payment=Payment("58", accounts=(Account(iban="DE02120300000000202051"),)),
)
LINES = [
    Line(str(n), f"Compute {n}", Decimal(n), "HUR", Decimal("1.05"), Vat(VatCategory.STANDARD, Decimal(19)))
    for n in range(1, 40)
]


@pytest.fixture(scope="module")
def issued() -> bytes:
    view = printed(HEADER, LINES, finish(Sums.of(LINES), HEADER), "2026-1", "de")
    return render_pdf(view, b"<rsm:CrossIndustryInvoice xmlns:rsm='urn:x'/>" * 100)


@pytest.mark.parametrize("clause", CLAUSES)
def test_an_archive_accepts_the_pdf(clause: str, issued: bytes) -> None:
    with Pdf.open(io.BytesIO(issued)) as pdf:
        assert CLAUSES[clause](issued, pdf), f"ISO 19005-3 {clause}"


def encrypt(pdf: Pdf) -> None:
    pdf.trailer.Encrypt = Dictionary(Filter=Name.Standard)


def drop_output_intent(pdf: Pdf) -> None:
    del pdf.Root.OutputIntents


def drop_font_file(pdf: Pdf) -> None:
    for font in of_type(pdf, "/FontDescriptor"):
        for key in {"/FontFile", "/FontFile2", "/FontFile3"} & set(font.keys()):
            del font[key]


def show_missing_glyph(pdf: Pdf) -> None:
    pdf.pages[0].contents_add(b"BT (\x00\x00) Tj ET")


def use_device_cmyk(pdf: Pdf) -> None:
    pdf.pages[0].contents_add(b"0 0 0 1 k")


def use_unknown_operator(pdf: Pdf) -> None:
    pdf.pages[0].contents_add(b"1 2 frobnicate")


def run_a_script(pdf: Pdf) -> None:
    pdf.Root.OpenAction = Dictionary(S=Name.JavaScript, JS=String("1"))


def claim_another_part(pdf: Pdf) -> None:
    replace_metadata(pdf, b"<pdfaid:part>3<", b"<pdfaid:part>1<")


def undeclare_factur_x(pdf: Pdf) -> None:
    replace_metadata(pdf, b"pdfaProperty:name>ConformanceLevel<", b"pdfaProperty:name>Other<")


def retitle(pdf: Pdf) -> None:
    pdf.docinfo.Title = String("something else")


def forget_the_association(pdf: Pdf) -> None:
    pdf.Root.AF = Array([])


def call_the_xml_data(pdf: Pdf) -> None:
    pdf.Root.AF[0].AFRelationship = Name.Data


def set_transfer_function(pdf: Pdf) -> None:
    pdf.pages[0].Resources.ExtGState = Dictionary(X=Dictionary(TR=Name.Identity))


def interpolate_an_image(pdf: Pdf) -> None:
    pdf.Root.Extra = pdf.make_stream(b"", Type=Name.XObject, Subtype=Name.Image, Interpolate=True)


def compress_with_lzw(pdf: Pdf) -> None:
    pdf.Root.Extra = Stream(pdf, b"\x80\x0b\x60\x50\x22\x0c\x0c\x85\x01", Filter=Name.LZWDecode)


def grant_permissions(pdf: Pdf) -> None:
    pdf.Root.Perms = Dictionary()


def drop_to_unicode(pdf: Pdf) -> None:
    for font in of_type(pdf, "/Font"):
        if "/ToUnicode" in font:
            del font.ToUnicode


def lengthen_a_string(pdf: Pdf) -> None:
    pdf.Root.Extra = String("x" * 40000)


def replace_metadata(pdf: Pdf, old: bytes, new: bytes) -> None:
    content = pdf.Root.Metadata.read_bytes()
    assert old in content
    pdf.Root.Metadata.write(content.replace(old, new))


BROKEN: list[tuple[Callable[[Pdf], None], str]] = [
    (drop_output_intent, "6.2.3 output intent"),
    (drop_font_file, "6.2.11.4 embedding of fonts"),
    (drop_to_unicode, "6.2.11.3 composite fonts"),
    (show_missing_glyph, "6.2.11.8 missing glyphs"),
    (use_device_cmyk, "6.2.4 colour spaces"),
    (use_unknown_operator, "6.2.2 content streams"),
    (set_transfer_function, "6.2.5 and 6.2.10 graphics state, transparency"),
    (interpolate_an_image, "6.2.8 and 6.2.9 images, XObjects"),
    (run_a_script, "6.3, 6.4, 6.5, 6.9, 6.11 nothing interactive"),
    (claim_another_part, "6.6.2.1 and 6.6.4 metadata, identification"),
    (undeclare_factur_x, "6.6.2.3 extension schemas"),
    (retitle, "6.6.3 document information"),
    (forget_the_association, "6.8 embedded files"),
    (call_the_xml_data, "Factur-X"),
    (compress_with_lzw, "6.1.7.2 filters"),
    (grant_permissions, "6.1.12 permissions"),
    (lengthen_a_string, "6.1.13 implementation limits"),
    (encrypt, "6.1.3 file trailer"),
]


@pytest.mark.parametrize(("break_it", "clause"), BROKEN, ids=[clause for _, clause in BROKEN])
def test_a_file_that_breaks_the_clause_is_noticed(break_it: Callable[[Pdf], None], clause: str, issued: bytes) -> None:
    with Pdf.open(io.BytesIO(issued)) as pdf:
        break_it(pdf)
        assert not CLAUSES[clause](issued, pdf)


@pytest.mark.parametrize(
    ("old", "new", "clause"),
    [
        (b"%PDF-1.7\n%", b"\n%PDF-1.7\n", "6.1.2 file header"),
        (b"startxref\n", b"startxref\n1", "6.1.4 cross-reference table"),
        (b"\nendstream", b" and more\nendstream", "6.1.7.1 stream objects"),
    ],
)
def test_a_damaged_file_is_noticed(old: bytes, new: bytes, clause: str, issued: bytes) -> None:
    with Pdf.open(io.BytesIO(issued)) as pdf:
        assert old in issued
        assert not CLAUSES[clause](issued.replace(old, new), pdf)
