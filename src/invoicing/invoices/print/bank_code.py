"""The code that a banking app reads to fill in a SEPA credit transfer (EPC069-12, version 2)."""

import io
from decimal import Decimal

import segno.helpers

from invoicing.invoices.model import Account, Header, Totals

_CREDIT_TRANSFER = frozenset({"30", "58"})  # UNCL 4461: credit transfer, SEPA credit transfer
_LARGEST = Decimal("999999999.99")
_LONGEST_NAME = 70
_LONGEST_TEXT = 140


def bank_code(header: Header, totals: Totals, remittance: str) -> str:
    """Draw the code as SVG; empty where EPC069-12 has no code for such a payment, or its fields would not fit."""
    account = _account(header)
    if account is None or account.iban is None:
        return ""
    name = account.name or (header.payee.name if header.payee else header.seller.name)
    fits = len(name) <= _LONGEST_NAME and len(remittance) <= _LONGEST_TEXT
    if not fits or not Decimal(0) < totals.payable <= _LARGEST:
        return ""
    code = segno.helpers.make_epc_qr(
        name, account.iban, totals.payable, text=remittance, bic=account.bic, encoding="utf-8"
    )
    drawing = io.BytesIO()
    code.save(drawing, kind="svg", xmldecl=False, border=0, dark="#1c2733")
    return drawing.getvalue().decode()


def _account(header: Header) -> Account | None:
    payment = header.payment
    if header.currency != "EUR" or payment is None or payment.means not in _CREDIT_TRANSFER or payment.direct_debit:
        return None
    return next((account for account in payment.accounts if account.iban), None)
