"""Requests as they arrive: what is refused by its form alone, where, and in which words."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from invoicing.invoices.model import Finding
from invoicing.invoices.payload import HeaderPart, InvoicePayload, findings_of, read_lines

Spoil = Callable[[dict[str, Any]], object]


def _refusals(payload: dict[str, Any]) -> list[Finding]:
    with pytest.raises(ValidationError) as refused:
        InvoicePayload.model_validate_json(json.dumps(payload))
    return findings_of(refused.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.0, "decimal string"),
        (1, "decimal string"),
        (True, "decimal string"),
        ("NaN", "no exponent"),
        ("Infinity", "no exponent"),
        ("1e999999", "no exponent"),
        ("1E2", "no exponent"),
        ("1,5", "no exponent"),
        ("", "no exponent"),
        (" 1", "no exponent"),
        ("1\n", "no exponent"),
        ("٣", "no exponent"),
        ("+1", "no exponent"),
        ("007", "no exponent"),
        ("1" * 13, "12 digits"),
        ("0.12345678901", "10 after"),
        (None, "decimal string"),
    ],
)
def test_a_price_that_is_no_exact_figure_is_refused(payload: dict[str, Any], value: object, words: str) -> None:
    payload["lines"][0]["price"] = value
    (finding,) = _refusals(payload)
    assert finding.field == "/lines/0/price"
    assert words in finding.message


@pytest.mark.parametrize(
    ("spoil", "field", "rule"),
    [
        (lambda p: p.update(currency="eur"), "/currency", "FIELD-STRING-PATTERN-MISMATCH"),
        (lambda p: p.update(due_date="2026-02-30"), "/due_date", "FIELD-DATE-UNKNOWN"),
        (lambda p: p.update(due_date=1764547200), "/due_date", "FIELD-DATE-FORMAT"),
        (lambda p: p.update(sellar={}), "/sellar", "FIELD-EXTRA-FORBIDDEN"),
        (lambda p: p["lines"][0].update({"a/b~c": 1}), "/lines/0/a~1b~0c", "FIELD-EXTRA-FORBIDDEN"),
        (lambda p: p.pop("seller"), "/seller", "FIELD-MISSING"),
        (lambda p: p["seller"].update(name="  "), "/seller/name", "FIELD-STRING-TOO-SHORT"),
        (lambda p: p["seller"].update(name="a\x00b"), "/seller/name", "FIELD-ILLEGAL-CHARACTER"),
        (lambda p: p["seller"].update(name="a\uffffb"), "/seller/name", "FIELD-ILLEGAL-CHARACTER"),
        (lambda p: p["lines"][0].update(base_quantity="0"), "/lines/0/base_quantity", "FIELD-DECIMAL-POSITIVE"),
        (
            lambda p: p["lines"][0]["allowances"][0].update(amount="5.001"),
            "/lines/0/allowances/0/amount",
            "FIELD-DECIMAL-FORMAT",
        ),
        (lambda p: p.update(lines=[]), "/lines", "FIELD-TOO-SHORT"),
        (lambda p: p["payment"].pop("iban") and p["payment"].update(bic="X"), "/payment", "FIELD-ACCOUNT-WITHOUT-IBAN"),
        (
            lambda p: p.update(attachments=[{"id": "1", "content": "QQ=="}]),
            "/attachments/0",
            "FIELD-ATTACHMENT-UNTYPED",
        ),
        (
            lambda p: p.update(attachments=[{"id": "1", "url": "file:///etc/passwd"}]),
            "/attachments/0/url",
            "FIELD-STRING-PATTERN-MISMATCH",
        ),
    ],
)
def test_a_wrong_form_is_refused_at_its_field(payload: dict[str, Any], spoil: Spoil, field: str, rule: str) -> None:
    spoil(payload)
    (finding,) = _refusals(payload)
    assert (finding.field, finding.rule) == (field, rule)
    assert finding.remedy


def test_header_and_lines_read_apart_are_the_request_read_whole(payload: dict[str, Any]) -> None:
    whole = InvoicePayload.model_validate_json(json.dumps(payload))
    lines = payload.pop("lines")
    assert HeaderPart.model_validate_json(json.dumps(payload)).to_header() == whole.to_header()
    assert read_lines(json.dumps(lines).encode()) == whole.to_lines()


def test_a_fault_in_a_later_part_is_named_by_its_place_in_the_whole_request(payload: dict[str, Any]) -> None:
    bad = {**payload["lines"][0], "quantity": 3}
    with pytest.raises(ValidationError) as refused:
        read_lines(json.dumps([payload["lines"][0], bad]).encode())
    assert [each.field for each in findings_of(refused.value, "/lines", 500)] == ["/lines/501/quantity"]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**11), max_value=10**11))
def test_a_price_means_exactly_what_was_written(value: Decimal) -> None:
    line = {"id": "1", "name": "x", "quantity": "1", "unit": "C62", "price": f"{value:f}", "vat": {"category": "S"}}
    (read,) = read_lines(json.dumps([line]).encode())
    assert read.price == value


def test_the_schema_names_and_describes_every_field() -> None:
    schema = InvoicePayload.model_json_schema()
    assert {"type", "series", "seller", "lines", "expected"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False
    price = schema["$defs"]["LinePart"]["properties"]["price"]
    assert price["type"] == "string"
    assert "BT-146" in price["description"]


@pytest.mark.parametrize("iban", ["DE02 1203 0000 0000 2020 51", "de02120300000000202051"])
def test_an_iban_may_be_written_as_people_do(payload: dict[str, Any], iban: str) -> None:
    payload["payment"]["iban"] = iban
    payment = InvoicePayload.model_validate(payload).to_header().payment
    assert payment is not None
    assert payment.accounts[0].iban == "DE02120300000000202051"
