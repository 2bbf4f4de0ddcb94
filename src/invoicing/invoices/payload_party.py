"""Who sells, buys, is paid and delivers, as a request words it."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from invoicing.invoices import model
from invoicing.invoices.fields import Code, Country, Day, Name, Part, Reference, Text, term


class IdentifierPart(Part):
    """An identifier and the scheme it belongs to."""

    value: Reference
    scheme: Annotated[Code | None, Field(description="ISO 6523 ICD code, such as 0088 for a GLN.")] = None

    def to_model(self) -> model.Identifier:
        return model.Identifier(self.value, self.scheme)


class ElectronicAddressPart(Part):
    """Where the party receives electronic invoices (BT-34, BT-49)."""

    scheme: Annotated[Code, Field(description="EAS code: EM for e-mail, 0204 for a Leitweg-ID.", examples=["EM"])]
    value: Reference

    def to_model(self) -> model.Identifier:
        return model.Identifier(self.value, self.scheme)


class AddressPart(Part):
    """A postal address."""

    line1: Name | None = None
    line2: Name | None = None
    line3: Name | None = None
    postcode: Reference | None = None
    city: Name | None = None
    region: Name | None = None
    country: Annotated[Country, Field(description="ISO 3166-1 alpha-2.", examples=["DE"])]

    def to_model(self) -> model.Address:
        return model.Address(self.country, self.line1, self.line2, self.line3, self.postcode, self.city, self.region)


class ContactPart(Part):
    """Whom to ask."""

    name: Name | None = None
    phone: Reference | None = None
    email: Reference | None = None

    def to_model(self) -> model.Contact | None:
        """Give none for an empty contact: the rules forbid empty elements."""
        contact = model.Contact(self.name, self.phone, self.email)
        return None if contact == model.Contact() else contact


class PartyPart(Part):
    """Seller or buyer."""

    name: Annotated[Name, Field(description="The full legal name (BT-27, BT-44).")]
    trading_name: Name | None = None
    vat_id: Annotated[
        Reference | None, Field(description="VAT identifier with its country prefix.", examples=["DE136695976"])
    ] = None
    tax_id: Annotated[Reference | None, Field(description="Local tax registration (BT-32); of a seller only.")] = None
    legal_id: Annotated[IdentifierPart | None, Field(description="Entry in the company register.")] = None
    legal_form: Annotated[Text | None, Field(description="Further legal information (BT-33); of a seller only.")] = None
    identifiers: Annotated[tuple[IdentifierPart, ...], Field(max_length=10)] = ()
    address: AddressPart
    contact: ContactPart | None = None
    electronic_address: ElectronicAddressPart | None = None

    def to_model(self) -> model.Party:
        return model.Party(
            name=self.name,
            address=self.address.to_model(),
            trading_name=self.trading_name,
            vat_id=self.vat_id,
            tax_id=self.tax_id,
            legal_id=term(self.legal_id),
            legal_form=self.legal_form,
            identifiers=tuple(part.to_model() for part in self.identifiers),
            contact=term(self.contact),
            electronic_address=term(self.electronic_address),
        )


class PayeePart(Part):
    """Who is paid, when it is not the seller (BG-10)."""

    name: Name
    identifier: IdentifierPart | None = None
    legal_id: IdentifierPart | None = None

    def to_model(self) -> model.Payee:
        return model.Payee(self.name, term(self.identifier), term(self.legal_id))


class TaxRepresentativePart(Part):
    """Who owes the seller's VAT (BG-11)."""

    name: Name
    vat_id: Reference
    address: AddressPart

    def to_model(self) -> model.TaxRepresentative:
        return model.TaxRepresentative(self.name, self.vat_id, self.address.to_model())


class DeliveryPart(Part):
    """When, where and to whom goods or services were delivered (BG-13)."""

    date: Day | None = None
    name: Name | None = None
    location: IdentifierPart | None = None
    address: AddressPart | None = None

    def to_model(self) -> model.Delivery | None:
        """Give none for an empty delivery: the rules forbid empty elements."""
        delivery = model.Delivery(self.date, self.name, term(self.location), term(self.address))
        return None if delivery == model.Delivery() else delivery


def unspaced(iban: str | None) -> str | None:
    """Write an IBAN as machines do; people print it in groups of four."""
    return None if iban is None else iban.replace(" ", "").upper()


class AccountPart(Part):
    """An account to pay into: an IBAN, or a national number where there is none."""

    iban: Reference | None = None
    number: Reference | None = None
    name: Name | None = None
    bic: Reference | None = None

    @model_validator(mode="after")
    def _one_number(self) -> Self:
        if (self.iban is None) == (self.number is None):
            raise PydanticCustomError("one_account_number", "needs either an iban or a number, and not both")
        return self

    def to_model(self) -> model.Account:
        return model.Account(unspaced(self.iban), self.number, self.name, self.bic)


class DirectDebitPart(Part):
    """The mandate under which the seller collects (BG-19)."""

    mandate: Reference
    creditor: Reference | None = None
    debited_iban: Reference | None = None

    def to_model(self) -> model.DirectDebit:
        return model.DirectDebit(self.mandate, self.creditor, unspaced(self.debited_iban))


class PaymentPart(Part):
    """How the amount is paid (BG-16, BT-20); `iban` is the short form of one account."""

    means: Annotated[Code, Field(description="UNTDID 4461: 58 SEPA transfer, 59 SEPA debit.", examples=["58"])] = "58"
    means_text: Name | None = None
    iban: Reference | None = None
    bic: Reference | None = None
    account_name: Name | None = None
    accounts: Annotated[tuple[AccountPart, ...], Field(max_length=10, description="Further accounts.")] = ()
    direct_debit: DirectDebitPart | None = None
    remittance: Annotated[Reference | None, Field(description="What to quote with the payment (BT-83).")] = None
    terms: Annotated[Text | None, Field(examples=["14 days net"])] = None

    @model_validator(mode="after")
    def _account_has_iban(self) -> Self:
        if self.iban is None and (self.bic is not None or self.account_name is not None):
            raise PydanticCustomError("account_without_iban", "names an account (bic, account_name) without its iban")
        return self

    def to_model(self) -> model.Payment:
        first = () if self.iban is None else (model.Account(unspaced(self.iban), None, self.account_name, self.bic),)
        return model.Payment(
            means=self.means,
            means_text=self.means_text,
            terms=self.terms,
            remittance=self.remittance,
            accounts=(*first, *(part.to_model() for part in self.accounts)),
            direct_debit=term(self.direct_debit),
        )
