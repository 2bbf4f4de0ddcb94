"""The judge and the schemas: they find what is wrong, read nothing from outside, and refuse to start when blind."""

import io
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from saxonche import PySaxonApiError

from invoicing.invoices import canary, cii, ubl
from invoicing.invoices.model import DocumentType, Syntax
from invoicing.invoices.official import RulesUnusableError
from invoicing.invoices.rules import Judge
from invoicing.invoices.schemas import Schemas
from invoicing.invoices.totals import Sums, finish

_ALWAYS = """<xsl:stylesheet version="2.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
 xmlns:svrl="http://purl.oclc.org/dsdl/svrl"><xsl:template match="/"><svrl:schematron-output>{body}
 </svrl:schematron-output></xsl:template></xsl:stylesheet>"""
_HOUSE_RULE = '<xsl:if test="{test}"><svrl:failed-assert id="HOUSE-1" flag="warning" location="/"/></xsl:if>'


def _with_rule(folder: Path, body: str) -> Path:
    (folder / "ubl").mkdir()
    (folder / "ubl" / "house.xsl").write_text(_ALWAYS.format(body=body))
    return folder


@pytest.mark.parametrize("syntax", list(Syntax))
def test_a_wrong_amount_due_is_found_with_its_rule_and_place(judge: Judge, syntax: Syntax) -> None:
    violations = judge.judge(syntax, canary.sick(syntax))
    assert [violation.rule for violation in violations] == ["BR-CO-16"]
    (violation,) = violations
    assert "Amount due for payment" in violation.text
    assert "namespace" not in violation.location
    assert violation.version in judge.versions.values()


def test_a_code_that_is_on_no_list_is_found_in_cii_too(judge: Judge) -> None:
    """The rules for CII read their lists from a file that the judge may not open: they are put into the rules."""
    document = canary.healthy(Syntax.CII).replace(b"<ram:InvoiceCurrencyCode>EUR", b"<ram:InvoiceCurrencyCode>EUX")
    places = {each.location.rsplit("/", 1)[-1] for each in judge.judge(Syntax.CII, document)}
    assert "InvoiceCurrencyCode[1]" in places


@pytest.mark.parametrize("syntax", list(Syntax))
def test_a_document_cannot_make_the_judge_read_a_file(judge: Judge, syntax: Syntax, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("EUR")
    entity = f'<!DOCTYPE x [<!ENTITY secret SYSTEM "{secret.as_uri()}">]>'.encode()
    head, body = canary.healthy(syntax).split(b"\n", 1)
    with pytest.raises(ValueError, match="DOCTYPE"):
        judge.judge(syntax, head + b"\n" + entity + body)


def test_saxon_itself_reads_no_file_that_a_document_names(judge: Judge, tmp_path: Path) -> None:
    """The second wall: were the first to fall, the processor opens nothing."""
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    document = f'<!DOCTYPE x [<!ENTITY secret SYSTEM "{secret.as_uri()}">]><x>&secret;</x>'
    try:
        read = str(judge._processor.parse_xml(xml_text=document))
    except PySaxonApiError as error:
        read = str(error)
    assert "the secret" not in read


@pytest.mark.parametrize("reader", ["doc('{uri}')", "document('{uri}')", "unparsed-text('{uri}')"])
def test_a_rule_cannot_make_the_judge_read_a_file(tmp_path: Path, reader: str) -> None:
    secret = tmp_path / "secret.xml"
    secret.write_text("<secret>the secret</secret>")
    folder = _with_rule(tmp_path, f'<xsl:value-of select="{reader.format(uri=secret.as_uri())}"/>')
    with pytest.raises((RulesUnusableError, ValueError)) as refused:
        Judge(folder).judge(Syntax.UBL, canary.healthy(Syntax.UBL))
    assert "the secret" not in str(refused.value)


def test_further_rules_are_judged_beside_the_official_ones(tmp_path: Path) -> None:
    test = "contains(string(/), 'Forbidden')"
    judge = Judge(_with_rule(tmp_path, _HOUSE_RULE.format(test=test)))
    assert "house.xsl" in judge.versions
    document = canary.healthy(Syntax.UBL).replace(b">Item<", b">Forbidden<")
    assert [(each.rule, each.flag) for each in judge.judge(Syntax.UBL, document)] == [("HOUSE-1", "warning")]


def test_a_judge_whose_official_rules_refuse_everything_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "healthy", canary.sick)
    with pytest.raises(RulesUnusableError, match="refuse a correct invoice"):
        Judge()


def test_further_rules_may_ask_for_more_than_the_canary_says(tmp_path: Path) -> None:
    judge = Judge(_with_rule(tmp_path, _HOUSE_RULE.format(test="true()")))
    assert [each.rule for each in judge.judge(Syntax.UBL, canary.healthy(Syntax.UBL))] == ["HOUSE-1"]


def test_a_judge_that_is_blind_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "sick", canary.healthy)
    with pytest.raises(RulesUnusableError, match="wrong amount due pass"):
        Judge()


def test_a_judge_with_a_broken_stylesheet_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(RulesUnusableError, match=r"house\.xsl does not compile"):
        Judge(_with_rule(tmp_path, "<xsl:nonsense/>"))


def test_a_process_that_never_judges_never_loads_saxon() -> None:
    script = "import sys, invoicing.invoices.chunks, invoicing.invoices.checks; print('saxonche' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("document", [b"", b"<", b"<a>&undefined;</a>", b"\xff\xfe"])
def test_what_is_no_xml_is_not_judged_valid(judge: Judge, document: bytes) -> None:
    with pytest.raises(ValueError, match=r"cannot be judged|can't decode"):
        judge.judge(Syntax.UBL, document)


@pytest.mark.parametrize("syntax", list(Syntax))
def test_the_schema_finds_an_element_out_of_place(schemas: Schemas, syntax: Syntax) -> None:
    document = canary.healthy(syntax)
    assert schemas.check(syntax, DocumentType.INVOICE, io.BytesIO(document)) == []
    spoilt = document.replace(b"InvoicedQuantity", b"Quantity").replace(b"BilledQuantity", b"Quantity")
    (violation,) = schemas.check(syntax, DocumentType.INVOICE, io.BytesIO(spoilt))
    assert violation.rule == "XSD"
    assert "Quantity" in violation.text


@pytest.mark.parametrize("syntax", list(Syntax))
def test_the_schema_finds_a_fault_in_the_last_of_many_lines_and_after_them(schemas: Schemas, syntax: Syntax) -> None:
    header, lines = canary._HEADER, [replace(canary._LINES[0], id=str(index)) for index in range(2000)]
    writer = {Syntax.UBL: ubl, Syntax.CII: cii}[syntax]
    totals = finish(Sums.of(lines), header)
    frame = writer.frame(header, totals, "N")
    last = writer.lines_of(header, lines[-1:])
    spoilt = last.replace(b">1999<", b"><b/><")
    for tail in (spoilt + frame.tail, last + b"<wrong/>" + frame.tail):
        document = frame.head + writer.lines_of(header, lines[:-1]) + tail
        assert schemas.check(syntax, header.type, io.BytesIO(document)) != []


def test_a_credit_note_is_judged_as_one(judge: Judge, schemas: Schemas) -> None:
    header = replace(canary._HEADER, type=DocumentType.CREDIT_NOTE)
    totals = finish(Sums.of(canary._LINES), header)
    document = ubl.document(header, canary._LINES, totals, "C-1")
    assert b"CreditNoteTypeCode>381<" in document
    assert schemas.check(Syntax.UBL, DocumentType.CREDIT_NOTE, io.BytesIO(document)) == []
    assert judge.judge(Syntax.UBL, document) == []
    short = ubl.document(header, canary._LINES, replace(totals, gross=totals.gross - Decimal(1)), "C-1")
    assert {each.rule for each in judge.judge(Syntax.UBL, short)} >= {"BR-CO-15"}
