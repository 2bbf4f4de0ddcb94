"""What can be refused in a request's header before any line is read."""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Final

from stdnum import bic, get_cc_module, iban
from stdnum.eu import vat as eu_vat
from stdnum.exceptions import ValidationError

from invoicing.invoices import codes
from invoicing.invoices.check_terms import adjustment_findings, code_finding, period_findings, vat_findings
from invoicing.invoices.model import (
    Account,
    Address,
    Attachment,
    DocumentAdjustment,
    DocumentType,
    Finding,
    Header,
    Identifier,
    Party,
    Payment,
)

if TYPE_CHECKING:
    from stdnum.util import NumberValidationModule

# BR-CO-09: Greece uses EL; XI is Northern Ireland. Of other countries we know no check digits: only the prefix is held.
_VAT_OUTSIDE_UNION: Final = frozenset({"CH", "GB", "NO"})
_VAT_COUNTRIES: Final = _VAT_OUTSIDE_UNION | {
    *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "EL", "ES", "FI", "FR", "HR", "HU", "IE", "IT", "LT", "LU"),
    *("LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK", "XI"),
}
_CREDIT_TRANSFER: Final = frozenset({"30", "58"})


def header_findings(header: Header) -> list[Finding]:
    """Name everything that is wrong with the header by itself."""
    return list(_all(header))


def _all(header: Header) -> Iterator[Finding]:
    yield from code_finding(codes.CURRENCY, header.currency, "/currency", "currency (ISO 4217)")
    yield from _dates(header)
    yield from _party(header.seller, "/seller")
    yield from _party(header.buyer, "/buyer")
    yield from _roles(header)
    if header.tax_representative is not None:
        yield from _vat_id(header.tax_representative.vat_id, "/tax_representative/vat_id")
        yield from _address(header.tax_representative.address, "/tax_representative/address")
    if header.payee is not None:
        yield from _scheme(codes.PARTY_SCHEME, header.payee.identifier, "/payee/identifier")
        yield from _scheme(codes.LEGAL_SCHEME, header.payee.legal_id, "/payee/legal_id")
    if header.delivery is not None:
        yield from _scheme(codes.PARTY_SCHEME, header.delivery.location, "/delivery/location")
        if header.delivery.address is not None:
            yield from _address(header.delivery.address, "/delivery/address")
    if header.payment is not None:
        yield from _payment(header.payment)
    yield from _scheme(codes.OBJECT_SCHEME, header.references.invoiced_object, "/invoiced_object")
    yield from _adjustments(header.allowances, "/allowances", codes.ALLOWANCE_REASON, "BR-33")
    yield from _adjustments(header.charges, "/charges", codes.CHARGE_REASON, "BR-38")
    for place, attachment in enumerate(header.attachments):
        yield from _attachment(attachment, f"/attachments/{place}")
    if sum(each.content is not None for each in header.attachments) > 1:
        yield Finding(
            "CII-SR-476",
            "/attachments",
            "The rules for CII allow one embedded attachment.",
            "Combine the files into one PDF, or link the others by url.",
        )
    if header.type is DocumentType.CREDIT_NOTE and header.preceding_invoice is None:
        yield Finding(
            "CREDIT-NOTE-REFERENCE",
            "/preceding_invoice",
            "A credit note must name the invoice it corrects.",
            'Add "preceding_invoice": {"number": ...} with the number of the invoice that is corrected.',
        )


def _dates(header: Header) -> Iterator[Finding]:
    if header.due_date is not None and header.due_date < header.issue_date:
        yield Finding(
            "DATE-ORDER",
            "/due_date",
            f"The due date {header.due_date} is before the issue date {header.issue_date}.",
            "Set a due date on or after the issue date.",
        )
    if header.preceding_invoice and header.preceding_invoice.date and header.preceding_invoice.date > header.issue_date:
        yield Finding(
            "DATE-ORDER",
            "/preceding_invoice/date",
            f"The preceding invoice is dated {header.preceding_invoice.date}, after this one ({header.issue_date}).",
            "Correct one of the two dates.",
        )
    yield from period_findings(header.period, "/period", order_rule="BR-29", empty_rule="BR-CO-19")


def _party(party: Party, place: str) -> Iterator[Finding]:
    yield from _address(party.address, f"{place}/address")
    if party.vat_id is not None:
        yield from _vat_id(party.vat_id, f"{place}/vat_id")
    if party.electronic_address is not None:
        scheme = party.electronic_address.scheme or ""
        yield from code_finding(codes.ADDRESS_SCHEME, scheme, f"{place}/electronic_address/scheme", "EAS scheme")
    yield from _scheme(codes.LEGAL_SCHEME, party.legal_id, f"{place}/legal_id")
    for index, identifier in enumerate(party.identifiers):
        yield from _scheme(codes.PARTY_SCHEME, identifier, f"{place}/identifiers/{index}")


def _roles(header: Header) -> Iterator[Finding]:
    seller, buyer = header.seller, header.buyer
    if not (seller.identifiers or seller.legal_id or seller.vat_id):
        yield Finding(
            "BR-CO-26",
            "/seller",
            "The buyer cannot identify the seller: it has no VAT id, no register entry and no other identifier.",
            "Add seller.vat_id, seller.legal_id or seller.identifiers.",
        )
    if len(buyer.identifiers) > 1:
        yield Finding(
            "UBL-SR-16", "/buyer/identifiers", "A buyer may have one identifier only.", "Keep one of the identifiers."
        )
    for name, given in (("tax_id", buyer.tax_id), ("legal_form", buyer.legal_form)):
        if given is not None:
            yield Finding(
                "SELLER-ONLY",
                f"/buyer/{name}",
                f"EN 16931 knows {name} of a seller only.",
                f"Remove buyer.{name}; a VAT id goes to buyer.vat_id, a register entry to buyer.legal_id.",
            )


def _address(address: Address, place: str) -> Iterator[Finding]:
    yield from code_finding(codes.COUNTRY, address.country, f"{place}/country", "country (ISO 3166-1 alpha-2)")


def _scheme(rule: str, identifier: Identifier | None, place: str) -> Iterator[Finding]:
    if identifier is not None and identifier.scheme is not None:
        yield from code_finding(rule, identifier.scheme, f"{place}/scheme", "identifier scheme")


def _vat_id(given: str, place: str) -> Iterator[Finding]:
    prefix = given[:2]
    if prefix not in _VAT_COUNTRIES and prefix not in codes.admitted()[codes.COUNTRY]:
        yield Finding(
            "BR-CO-09",
            place,
            f"The VAT id {given} does not begin with a country code.",
            'Write it with its country prefix, such as "DE136695976".',
        )
    elif prefix in _VAT_COUNTRIES and not _is_valid_vat_id(given, prefix):
        yield Finding(
            "VAT-ID",
            place,
            f"{given} is no VAT id of {prefix}: its form or its check digits are wrong.",
            "Compare it with the party's registration; a typing error in one digit is what this finds.",
        )


@cache
def _numbers_of(prefix: str) -> "NumberValidationModule":
    """Give the module that knows a country's VAT ids: the Union's serves its members, Greece's EL and XI included."""
    if prefix not in _VAT_OUTSIDE_UNION:
        return eu_vat
    found = get_cc_module(prefix.lower(), "vat")
    assert found is not None, f"no VAT rules for {prefix}"
    return found


def _is_valid_vat_id(given: str, prefix: str) -> bool:
    try:
        _numbers_of(prefix).validate(given)
    except ValidationError:
        return False
    return True


def _payment(payment: Payment) -> Iterator[Finding]:
    yield from code_finding(codes.PAYMENT_MEANS, payment.means, "/payment/means", "payment means (UNTDID 4461)")
    if payment.means in _CREDIT_TRANSFER and not payment.accounts:
        yield Finding(
            "BR-61",
            "/payment/iban",
            f"Payment means {payment.means} is a credit transfer, but no account to pay into is given.",
            "Add payment.iban, or payment.accounts with a number.",
        )
    for account in payment.accounts:
        yield from _account(account, "/payment" if len(payment.accounts) == 1 else "/payment/accounts")
    debited = payment.direct_debit and payment.direct_debit.debited_iban
    if debited and not iban.is_valid(debited):
        yield _wrong_iban(debited, "/payment/direct_debit/debited_iban")


def _account(account: Account, place: str) -> Iterator[Finding]:
    if account.iban is not None and not iban.is_valid(account.iban):
        yield _wrong_iban(account.iban, f"{place}/iban" if place == "/payment" else place)
    if account.bic is not None and not bic.is_valid(account.bic):
        yield Finding(
            "BIC",
            f"{place}/bic" if place == "/payment" else place,
            f"{account.bic} is no BIC.",
            "Write 8 or 11 characters, as DEUTDEFF.",
        )


def _wrong_iban(given: str, place: str) -> Finding:
    return Finding(
        "IBAN",
        place,
        f"{given} is no IBAN: its form or its check digits are wrong.",
        "Correct it; an account without an IBAN goes to payment.accounts as a number.",
    )


def _adjustments(
    given: tuple[DocumentAdjustment, ...], place: str, code_rule: str, reason_rule: str
) -> Iterator[Finding]:
    for index, each in enumerate(given):
        yield from adjustment_findings(each.terms, f"{place}/{index}", code_rule, reason_rule)
        yield from vat_findings(each.vat, f"{place}/{index}/vat")


def _attachment(given: Attachment, place: str) -> Iterator[Finding]:
    if given.content is not None:
        yield from code_finding(codes.MEDIA_TYPE, given.media_type or "", f"{place}/media_type", "media type")
