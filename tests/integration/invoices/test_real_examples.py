"""Real invoices that others wrote: their content as our requests, their totals against ours, to the cent."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree
from stdnum import iban

from invoicing.invoices import checks, cii, ubl
from invoicing.invoices.model import Syntax, Totals
from invoicing.invoices.payload import InvoicePayload
from invoicing.invoices.rules import Judge
from invoicing.invoices.schemas import Schemas
from invoicing.invoices.totals import Sums, finish

from .ubl_requests import every, first, request_of, text_of, without_nothing

_DEFAULT = Path(__file__).parents[3].parent / "shared" / "data"
_FOLDER = Path(os.environ.get("INVOICING_EXAMPLES_DIR", _DEFAULT)) / "en16931" / "ubl"
_EXAMPLES = (
    "guide-example1",
    "sample-discount-price",
    "ubl-tc434-creditnote1",
    "ubl-tc434-example1",
    "ubl-tc434-example2",
    "ubl-tc434-example3",
    "ubl-tc434-example4",
    "ubl-tc434-example5",
)
_AMOUNTS = {
    "lines": "LineExtensionAmount",
    "net": "TaxExclusiveAmount",
    "gross": "TaxInclusiveAmount",
    "payable": "PayableAmount",
}

pytestmark = pytest.mark.skipif(
    not _FOLDER.is_dir(), reason=f"no example invoices in {_FOLDER}; INVOICING_EXAMPLES_DIR says where they are"
)


@pytest.fixture(params=_EXAMPLES)
def example(request: pytest.FixtureRequest) -> etree._Element:
    return etree.parse(_FOLDER / f"{request.param}.xml", etree.XMLParser(resolve_entities=False)).getroot()


def test_our_totals_are_theirs_to_the_cent(example: etree._Element) -> None:
    totals = _totals(_payload(example))
    theirs = first(example, "cac:LegalMonetaryTotal")
    assert {name: f"{getattr(totals, name)}" for name in _AMOUNTS} == {
        name: text_of(theirs, f"cbc:{tag}") for name, tag in _AMOUNTS.items()
    }
    subtotals = every(example, "cac:TaxTotal/cac:TaxSubtotal")
    assert sorted((f"{each.taxable}", f"{each.tax}") for each in totals.breakdown) == sorted(
        (str(text_of(each, "cbc:TaxableAmount")), str(text_of(each, "cbc:TaxAmount"))) for each in subtotals
    )


def test_what_we_make_of_it_passes_the_official_rules(example: etree._Element, judge: Judge, schemas: Schemas) -> None:
    payload = _payload(example)
    header, lines = payload.to_header(), payload.to_lines()
    assert checks.findings(header, lines) == []
    for syntax, write in ((Syntax.UBL, ubl.document), (Syntax.CII, cii.document)):
        document = write(header, lines, _totals(payload), "2026-1")
        assert judge.judge(syntax, document) == []
        assert schemas.check(syntax, header.type, io.BytesIO(document)) == []


def test_nothing_of_the_example_is_lost_on_the_way(example: etree._Element) -> None:
    payload = _payload(example)
    document = ubl.document(payload.to_header(), payload.to_lines(), _totals(payload), "2026-1")
    assert list(_lost(example, etree.fromstring(document))) == []


def _lost(theirs: etree._Element, ours: etree._Element) -> Iterator[str]:
    kept = set(_texts(ours))
    replaced = ("CompanyID", "ProfileID", "TaxCurrencyCode", "DescriptionCode", "Percent", "ChargeIndicator")
    tax_totals = every(theirs, "cac:TaxTotal")[1:]  # in a second currency, which we do not write
    replaced_values = {"LOC", "DK1212341234123412", "0.27", text_of(theirs, "cbc:ID")}
    replaced_values |= {text_of(each, "cbc:TaxAmount") for each in tax_totals}
    for element in theirs.iter():
        if not isinstance(element.tag, str) or len(element) or etree.QName(element).localname in replaced:
            continue
        text = _plain(element)
        if text not in kept and text not in replaced_values:
            yield f"{etree.QName(element).localname}: {text}"


def _texts(root: etree._Element) -> Iterator[str]:
    return (_plain(element) for element in root.iter() if isinstance(element.tag, str))


def _plain(element: etree._Element) -> str:
    """Write a leaf's text so that spaces in an IBAN and trailing zeros do not matter."""
    text = " ".join((element.text or "").split())
    if iban.is_valid(text):
        return iban.compact(text)
    if text.replace(".", "").replace("-", "").isdigit() and "." in text:
        return text.rstrip("0").rstrip(".")
    return text


def _totals(payload: InvoicePayload) -> Totals:
    return finish(Sums.of(payload.to_lines()), payload.to_header())


def _payload(root: etree._Element) -> InvoicePayload:
    return InvoicePayload.model_validate(without_nothing(request_of(root)))
