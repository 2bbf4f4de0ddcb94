"""Postal addresses and the particulars of a party, in the order in which they are printed."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from invoicing.invoices.model import Address, Header, Party
from invoicing.invoices.print.language import Language
from invoicing.invoices.print.view import Fact

# Where the town stands before the postcode (UPU addressing guides).
_TOWN_FIRST = frozenset({"AU", "CA", "GB", "IE", "IN", "NZ", "SG", "US"})
_SEPARATOR = " · "


def address_lines(address: Address, seen_from: str) -> tuple[str, ...]:
    """List the lines of an address; the country is named only where the letter crosses a border."""
    abroad = country_name(address.country).upper() if address.country != seen_from else None
    return _present(address.line1, address.line2, address.line3, *_town(address), abroad)


def recipient(buyer: Party, seen_from: str) -> tuple[str, ...]:
    contact = buyer.contact.name if buyer.contact else None
    return _present(buyer.name, contact, *address_lines(buyer.address, seen_from))


def sender(seller: Party) -> str:
    """Give the one line above the recipient that shows through the window of the envelope."""
    return _SEPARATOR.join((seller.name, *address_lines(seller.address, seller.address.country)))


def letterhead_details(seller: Party) -> tuple[str, ...]:
    contact = seller.contact
    return _present(contact.name, contact.phone, contact.email) if contact else ()


def footer(header: Header, language: Language) -> tuple[tuple[str, ...], ...]:
    """Three columns: who and where, how to reach them, and their registrations."""
    seller = header.seller
    home = (seller.name, *address_lines(seller.address, header.buyer.address.country))
    contact = seller.contact
    reach = _present(contact.name, _said(language, "phone", contact.phone), contact.email) if contact else ()
    registered = _present(
        _said(language, "vat_id", seller.vat_id),
        _said(language, "tax_id", seller.tax_id),
        _said(language, "legal_id", seller.legal_id.value if seller.legal_id else None),
        seller.legal_form,
    )
    return home, reach, registered


def other_parties(header: Header, language: Language) -> tuple[Fact, ...]:
    """List those who take part beside seller and buyer."""
    delivery, payee, representative = header.delivery, header.payee, header.tax_representative
    seen_from = header.seller.address.country
    facts = []
    if delivery and (delivery.name or delivery.address):
        where = address_lines(delivery.address, seen_from) if delivery.address else ()
        facts.append(Fact(language.say("deliver_to"), ", ".join(_present(delivery.name, *where))))
    if payee:
        identifiers = (each.value for each in (payee.identifier, payee.legal_id) if each)
        facts.append(Fact(language.say("payee"), ", ".join((payee.name, *identifiers))))
    if representative:
        parts = (representative.name, *address_lines(representative.address, seen_from))
        facts.append(
            Fact(
                language.say("tax_representative"),
                ", ".join(_present(*parts, _said(language, "vat_id", representative.vat_id))),
            )
        )
    return tuple(facts)


def country_name(code: str) -> str:
    """Name a country in English; a code that we have no name for stands for itself."""
    return _countries().get(code, code)


@cache
def _countries() -> Mapping[str, str]:
    return tomllib.loads((Path(__file__).parent / "countries.toml").read_text(encoding="utf-8"))


def _town(address: Address) -> tuple[str | None, ...]:
    if address.country in _TOWN_FIRST:
        return (" ".join(_present(address.city, address.region, address.postcode)),)
    return " ".join(_present(address.postcode, address.city)), address.region


def _said(language: Language, word: str, value: str | None) -> str | None:
    return value and f"{language.say(word)}{language.format.colon}{value}"


def _present(*parts: str | None) -> tuple[str, ...]:
    return tuple(part for part in parts if part)
