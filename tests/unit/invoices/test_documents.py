"""The XML that is written: the same bytes in one piece and in many, and no text that becomes markup."""

from dataclasses import replace
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from invoicing.invoices import cii, ubl
from invoicing.invoices.markup import escape
from invoicing.invoices.model import Header, Line
from invoicing.invoices.numerals import amount, plain
from invoicing.invoices.payload import InvoicePayload
from invoicing.invoices.totals import Sums, finish

_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))


@pytest.fixture
def request_read(payload: dict[str, Any]) -> tuple[Header, Line]:
    read = InvoicePayload.model_validate(payload)
    return read.to_header(), read.to_lines()[0]


@pytest.mark.parametrize("syntax", [ubl, cii])
def test_a_document_written_in_pieces_is_the_document(syntax: ModuleType, request_read: tuple[Header, Line]) -> None:
    header, line = request_read
    lines = [replace(line, id=str(index)) for index in range(7)]
    totals = finish(Sums.of(lines), header)
    frame = syntax.frame(header, totals, "N-1")
    pieces = b"".join(syntax.lines_of(header, lines[start : start + 3]) for start in range(0, 7, 3))
    whole = syntax.document(header, lines, totals, "N-1")
    assert frame.head + pieces + frame.tail == whole == syntax.document(header, lines, totals, "N-1")
    assert etree.fromstring(whole) is not None


@pytest.mark.parametrize("syntax", [ubl, cii])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=_TEXT | st.sampled_from(["]]>", "<!--lines-->", "&lt;", "</cac:InvoiceLine>", "a\r\nb", "'\""]))
def test_text_stays_text(syntax: ModuleType, request_read: tuple[Header, Line], text: str) -> None:
    header, line = request_read
    header = replace(header, notes=(text,), seller=replace(header.seller, name=text))
    line = replace(line, name=text, note=text, unit=text)
    document = syntax.document(header, [line], finish(Sums.of([line]), header), "N-1")
    root = etree.fromstring(document)
    found = [element for element in root.iter() if isinstance(element.tag, str) and (element.text or "") == text]
    assert len(found) >= 4
    # XML itself turns line breaks in attributes into spaces (§3.3.3); no code has any.
    assert "\n" in text or text in [value for element in root.iter() for value in element.attrib.values()]


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_what_xml_cannot_carry_is_never_written(character: str) -> None:
    with pytest.raises(ValueError, match="cannot carry"):
        escape(f"a{character}b")


@pytest.mark.parametrize(
    ("value", "as_amount", "as_plain"),
    [
        ("1E+3", "1000.00", "1000"),
        ("-0.00", "0.00", "0"),
        ("-0.004", "0.00", "-0.004"),
        ("0.10", "0.10", "0.1"),
        ("1.005", "1.01", "1.005"),
        ("100", "100.00", "100"),
        ("1E-10", "0.00", "0.0000000001"),
        ("999999999999999.99", "999999999999999.99", "999999999999999.99"),
    ],
)
def test_a_figure_is_written_without_exponent(value: str, as_amount: str, as_plain: str) -> None:
    assert (amount(Decimal(value)), plain(Decimal(value))) == (as_amount, as_plain)
