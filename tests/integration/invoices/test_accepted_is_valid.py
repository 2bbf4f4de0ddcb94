"""Whatever submission accepts, the official rules and schemas accept: no customer waits for a refusal in vain."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from invoicing.invoices import checks, cii, ubl
from invoicing.invoices.model import Syntax
from invoicing.invoices.payload import InvoicePayload
from invoicing.invoices.rules import Judge
from invoicing.invoices.schemas import Schemas
from invoicing.invoices.totals import Sums, finish

Payload = dict[str, Any]
Change = Callable[[Payload], object]

_SMALL = Path(__file__).parents[3] / "examples" / "small.json"
_FRENCH = {"name": "Dupont SARL", "vat_id": "FR40303265045", "address": {"country": "FR"}}
_DEBIT = {
    "means": "59",
    "direct_debit": {"mandate": "M-1", "creditor": "DE98ZZZ09999999999", "debited_iban": "DE02120300000000202051"},
}
_REFERENCES = {
    "project_reference": "P",
    "tender_reference": "T",
    "contract_reference": "C",
    "receipt_reference": "R",
    "despatch_reference": "D",
    "sales_order_reference": "S",
    "order_reference": "O",
    "buyer_accounting": "B",
    "invoiced_object": {"value": "O", "scheme": "AAA"},
    "tax_point_date": "2026-10-31",
    "preceding_invoice": {"number": "1", "date": "2026-01-01"},
}
_FULL_LINE = {
    "period": {"start": "2020-01-01", "end": "2020-02-01"},  # outside the invoice's own
    "note": "n",
    "description": "d",
    "order_line": "1",
    "invoiced_object": {"value": "1", "scheme": "AAA"},
    "buyer_accounting": "x",
    "seller_item_id": "s",
    "buyer_item_id": "b",
    "standard_item_id": {"value": "1", "scheme": "0160"},
    "classifications": [{"code": "1", "list": "HS", "version": "2"}],
    "attributes": [{"name": "n", "value": "v"}],
    "origin_country": "DE",
    "base_quantity": "10",
    "gross_price": "1.5",
    "charges": [{"amount": "1.00", "reason_code": "FC", "base": "10.00", "percentage": "10"}],
}


def _lines(*changes: Payload) -> Change:
    def change(payload: Payload) -> None:
        line = payload["lines"][0]
        payload["lines"] = [{**line, "id": str(place), **each} for place, each in enumerate(changes)]

    return change


def _vat(*vats: Payload, **header: object) -> Change:
    def change(payload: Payload) -> None:
        _lines(*({"vat": vat} for vat in vats))(payload)
        payload.update(header)

    return change


def _outside_scope(payload: Payload) -> None:
    vat = {"category": "O", "exemption_code": "VATEX-EU-O"}
    _vat(vat, allowances=[{"amount": "1.00", "reason": "x", "vat": vat}])(payload)
    payload["seller"].update(vat_id=None, legal_id={"value": "HRB 1"})


def _represented(payload: Payload) -> None:
    payload["seller"].update(vat_id=None, identifiers=[{"value": "5790000436057", "scheme": "0088"}, {"value": "1"}])
    payload["tax_representative"] = {"name": "R", "vat_id": "DE136695976", "address": {"country": "DE"}}
    payload["payee"] = {"name": "P", "identifier": {"value": "7", "scheme": "0088"}, "legal_id": {"value": "HRB 2"}}
    payload["payment"] = _DEBIT


_ACCEPTED: dict[str, Change] = {
    "no quantity": _lines({"quantity": "0", "allowances": []}),
    "negative total": _lines({"quantity": "-3"}),
    "negative allowance": _lines({"allowances": [{"amount": "-5.00", "reason": "x"}]}),
    "price of many decimals": _lines({"price": "0.0000000001", "quantity": "999999999999.9999999999"}),
    "nearly too large": _lines(
        {"quantity": "83", "price": "99999999999.99"}, {"quantity": "0.01", "price": "33333333333.33"}
    ),
    "odd rates": _vat({"category": "S", "rate": "5.5"}, {"category": "S", "rate": "99.999999"}),
    "Z": _vat({"category": "Z"}),
    "E by code": _vat({"category": "E", "exemption_code": "VATEX-EU-132-1I"}),
    "E where one line alone has the reason": _vat({"category": "E"}, {"category": "E", "exemption_reason": "why"}),
    "G": _vat({"category": "G", "exemption_reason": "Export"}),
    "AE": _vat({"category": "AE", "exemption_code": "VATEX-EU-AE"}, buyer=_FRENCH),
    "K by period": _vat(
        {"category": "K", "exemption_code": "VATEX-EU-IC"}, buyer=_FRENCH, delivery={"address": {"country": "FR"}}
    ),
    "L beside S": _vat({"category": "L", "rate": "7"}, {"category": "S", "rate": "19"}),
    "M": _vat({"category": "M", "rate": "4"}, {"category": "M", "rate": "0"}),
    "O": _outside_scope,
    "tax representative, payee, direct debit": _represented,
    "direct debit by the seller": lambda p: p.update(payment=_DEBIT),
    "all references": lambda p: p.update(_REFERENCES),
    "all references on a credit note": lambda p: p.update(_REFERENCES, type="credit_note"),
    "credit note with a due date and no payment": lambda p: p.update(_REFERENCES, type="credit_note", payment=None),
    "sales order alone": lambda p: p.update(sales_order_reference="S"),
    "full line": _lines(_FULL_LINE),
    "several accounts": lambda p: p["payment"].update(
        {"bic": "DEUTDEFF", "account_name": "A", "means_text": "SEPA", "remittance": "R", "accounts": [{"number": "1"}]}
    ),
    "several attachments": lambda p: p.update(
        attachments=[
            {"id": "1", "description": "a", "url": "https://example.com/?a=1&b=2"},
            {"id": "2", "description": "b", "content": "QQ==", "filename": "ü&.pdf", "media_type": "application/pdf"},
            {"id": "3"},
        ]
    ),
    "text that looks like markup": lambda p: p.update(notes=[']]> & <!--lines--> "', "ü😀\u2028"]),
    "empty groups": lambda p: (p.update(delivery={}), p["seller"].update(contact={})),
    "delivery to a known place": lambda p: p.update(delivery={"location": {"value": "1", "scheme": "0088"}}),
    "open period": lambda p: p.update(period={"start": "2026-01-01"}),
    "paid already": lambda p: p.update(prepaid="351.00", rounding="-0.05"),
    "a country for an address": lambda p: p["buyer"].update(address={"country": "DE"}),
    "line breaks in an id": _lines({"id": "a\nb", "name": "x\ny\tz"}),
}


@pytest.mark.parametrize("name", _ACCEPTED)
def test_what_is_accepted_passes(name: str, judge: Judge, schemas: Schemas) -> None:
    payload = json.loads(_SMALL.read_text("utf-8"))["payload"]
    payload.pop("expected")
    _ACCEPTED[name](payload)
    read = InvoicePayload.model_validate(payload)
    header, lines = read.to_header(), read.to_lines()
    assert checks.findings(header, lines) == []
    for syntax, write in ((Syntax.UBL, ubl.document), (Syntax.CII, cii.document)):
        document = write(header, lines, finish(Sums.of(lines), header), "2026-1")
        assert judge.judge(syntax, document) == []
        assert schemas.check(syntax, header.type, io.BytesIO(document)) == []
