"""The requests of the demo: the same for a seed, and such that the service agrees with the customer's own books."""

import json
from datetime import date
from decimal import Decimal

import pytest

from invoicing.cli.bills import FIRST_DAY, LAST_DAY, large_request, small_request
from invoicing.invoices.payload import InvoicePayload
from invoicing.invoices.totals import Sums, finish

TODAY = date(2026, 11, 22)


def large(seed: int, lines: int) -> bytes:
    return b"".join(large_request(seed, lines, TODAY))


def test_a_seed_makes_the_same_bills_and_another_seed_others() -> None:
    assert large(7, 500) == large(7, 500)
    assert large(7, 500) != large(8, 500)
    assert b"".join(small_request(7, TODAY)) != b"".join(small_request(8, TODAY))


@pytest.mark.parametrize("lines", [1, 36, 5_000])
def test_the_bills_cover_four_years_from_the_first_day_on(lines: int) -> None:
    days = [line["period"]["start"] for line in json.loads(large(7, lines))["payload"]["lines"]]
    assert len(days) == lines
    assert days == sorted(days)
    assert days[0] == str(FIRST_DAY)
    assert days[-1] <= str(LAST_DAY)
    if lines > 2_000:
        assert days[-1] == str(LAST_DAY)
        assert len(set(days)) == (LAST_DAY - FIRST_DAY).days + 1


@pytest.mark.parametrize("request_body", [large(3, 2_000), b"".join(small_request(3, TODAY, Decimal(13)))])
def test_the_customers_books_agree_with_what_the_service_adds_up(request_body: bytes) -> None:
    payload = InvoicePayload.model_validate(json.loads(request_body)["payload"])
    header, lines = payload.to_header(), payload.to_lines()
    assert payload.expected is not None
    assert finish(Sums.of(lines), header).payable == payload.expected.payable


@pytest.mark.parametrize("gross", [1, 13, 300, 99_999])
def test_the_small_invoice_comes_to_what_was_asked_for(gross: int) -> None:
    told = json.loads(b"".join(small_request(7, TODAY, Decimal(gross))))
    assert Decimal(told["payload"]["expected"]["payable"]) == gross
