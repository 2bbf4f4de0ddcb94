"""A correct invoice and the same with a wrong amount due: rules that cannot tell them apart judge nothing."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Final

from invoicing.invoices import cii, ubl
from invoicing.invoices.model import (
    ONE,
    Account,
    Address,
    DocumentType,
    Header,
    Line,
    Party,
    Payment,
    Syntax,
    Totals,
    Vat,
    VatCategory,
)
from invoicing.invoices.totals import Sums, finish

RULE: Final = "BR-CO-16"  # amount due = total with VAT - prepaid + rounding
_WRITERS: Final = {Syntax.UBL: ubl.document, Syntax.CII: cii.document}
_HEADER: Final = Header(
    type=DocumentType.INVOICE,
    series="canary",
    currency="EUR",
    issue_date=dt.date(2026, 1, 1),
    due_date=dt.date(2026, 1, 15),
    seller=Party("Seller", Address("DE"), vat_id="DE136695976"),
    buyer=Party("Buyer", Address("DE")),
    payment=Payment("58", accounts=(Account(iban="DE02120300000000202051"),)),
)
_LINES: Final = (Line("1", "Item", ONE, "C62", Decimal(100), Vat(VatCategory.STANDARD, Decimal(19))),)


def healthy(syntax: Syntax) -> bytes:
    """Write an invoice without a fault."""
    return _written(syntax, finish(Sums.of(_LINES), _HEADER))


def sick(syntax: Syntax) -> bytes:
    """Write the same invoice, asking for more than it adds up to."""
    totals = finish(Sums.of(_LINES), _HEADER)
    return _written(syntax, replace(totals, payable=totals.payable + ONE))


def _written(syntax: Syntax, totals: Totals) -> bytes:
    return _WRITERS[syntax](_HEADER, _LINES, totals, "CANARY")
