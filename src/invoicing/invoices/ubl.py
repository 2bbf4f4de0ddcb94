"""An invoice or a credit note as UBL 2.1, by the syntax binding CEN/TS 16931-3-2."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from invoicing.invoices.markup import Element, Frame, Writer, framed, mark_seam
from invoicing.invoices.model import (
    ZERO,
    Account,
    Address,
    Attachment,
    Delivery,
    DocumentAdjustment,
    DocumentType,
    Header,
    Identifier,
    Line,
    Party,
    Payment,
    TaxRepresentative,
    Totals,
    Vat,
    VatCategory,
)
from invoicing.invoices.numerals import amount, iso, plain
from invoicing.invoices.ubl_line import line_of

GUIDELINE: Final = "urn:cen.eu:en16931:2017"
_PREFIX: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
_COMMON: Final[dict[str | None, str]] = {
    "cac": f"{_PREFIX}CommonAggregateComponents-2",
    "cbc": f"{_PREFIX}CommonBasicComponents-2",
}
_WRITERS: Final = {
    DocumentType.INVOICE: Writer({None: f"{_PREFIX}Invoice-2", **_COMMON}),
    DocumentType.CREDIT_NOTE: Writer({None: f"{_PREFIX}CreditNote-2", **_COMMON}),
}
_PROJECT_TYPE: Final = "50"  # UNTDID 1001, where a credit note has no element for a project
_OBJECT_TYPE: Final = "130"  # UNTDID 1001, invoicing data sheet: BT-18


def document(header: Header, lines: Iterable[Line], totals: Totals, number: str) -> bytes:
    """Write a whole document at once; for large ones join `frame` and `lines` yourself."""
    around = frame(header, totals, number)
    return around.head + lines_of(header, lines) + around.tail


def lines_of(header: Header, lines: Iterable[Line]) -> bytes:
    """Write some lines, to go between a frame's head and tail."""
    return "".join(line_of(line, header.type, header.currency) for line in lines).encode()


def frame(header: Header, totals: Totals, number: str) -> Frame:
    """Write everything but the lines."""
    return framed(_Document(header, totals).root(number))


class _Document:
    """The parts of one document, in the order of the schema."""

    def __init__(self, header: Header, totals: Totals) -> None:
        self.header = header
        self.totals = totals
        self.is_invoice = header.type is DocumentType.INVOICE
        self.write = _WRITERS[header.type]
        self.leaf = self.write.leaf

    def root(self, number: str) -> Element:
        root = self.write.root("Invoice" if self.is_invoice else "CreditNote")
        self._terms(root, number)
        self._references(root)
        self._parties(root)
        self._payment(root)
        for allowance in self.header.allowances:
            self._adjustment(root, allowance, charge=False)
        for charge in self.header.charges:
            self._adjustment(root, charge, charge=True)
        self._vat(root)
        self._totals(root)
        mark_seam(root)
        return root

    def money(self, parent: Element, tag: str, value: str | None) -> None:
        self.leaf(parent, tag, value, currencyID=self.header.currency)

    def _terms(self, root: Element, number: str) -> None:
        header = self.header
        tax_point = iso(header.tax_point_date)
        self.leaf(root, "cbc:CustomizationID", GUIDELINE)
        self.leaf(root, "cbc:ID", number)
        self.leaf(root, "cbc:IssueDate", header.issue_date.isoformat())
        if self.is_invoice:
            self.leaf(root, "cbc:DueDate", iso(header.due_date))
            self.leaf(root, "cbc:InvoiceTypeCode", header.type.code)
        else:
            self.leaf(root, "cbc:TaxPointDate", tax_point)
            self.leaf(root, "cbc:CreditNoteTypeCode", header.type.code)
        for note in header.notes:
            self.leaf(root, "cbc:Note", note)
        if self.is_invoice:
            self.leaf(root, "cbc:TaxPointDate", tax_point)
        self.leaf(root, "cbc:DocumentCurrencyCode", header.currency)
        self.leaf(root, "cbc:AccountingCost", header.references.buyer_accounting)
        self.leaf(root, "cbc:BuyerReference", header.references.buyer)
        if header.period is not None:
            period = self.write.group(root, "cac:InvoicePeriod")
            self.leaf(period, "cbc:StartDate", iso(header.period.start))
            self.leaf(period, "cbc:EndDate", iso(header.period.end))

    def _references(self, root: Element) -> None:
        given = self.header.references
        if given.order is not None or given.sales_order is not None:
            order = self.write.group(root, "cac:OrderReference")
            # UBL demands an order's ID; "NA" is the binding's word for "only the sales order is known".
            self.leaf(order, "cbc:ID", given.order or "NA")
            self.leaf(order, "cbc:SalesOrderID", given.sales_order)
        if (preceding := self.header.preceding_invoice) is not None:
            billing = self.write.group(self.write.group(root, "cac:BillingReference"), "cac:InvoiceDocumentReference")
            self.leaf(billing, "cbc:ID", preceding.number)
            self.leaf(billing, "cbc:IssueDate", iso(preceding.date))
        self.leaf(root, "cac:DespatchDocumentReference/cbc:ID", given.despatch)
        self.leaf(root, "cac:ReceiptDocumentReference/cbc:ID", given.receipt)
        if self.is_invoice:
            self.leaf(root, "cac:OriginatorDocumentReference/cbc:ID", given.tender)
            self.leaf(root, "cac:ContractDocumentReference/cbc:ID", given.contract)
            self._additional(root)
            self.leaf(root, "cac:ProjectReference/cbc:ID", given.project)
        else:
            self.leaf(root, "cac:ContractDocumentReference/cbc:ID", given.contract)
            self._additional(root)
            self.leaf(root, "cac:OriginatorDocumentReference/cbc:ID", given.tender)

    def _additional(self, root: Element) -> None:
        given = self.header.references
        if given.invoiced_object is not None:
            self._typed_reference(root, given.invoiced_object, _OBJECT_TYPE)
        if given.project is not None and not self.is_invoice:
            self._typed_reference(root, Identifier(given.project), _PROJECT_TYPE)
        for attachment in self.header.attachments:
            self._attachment(root, attachment)

    def _typed_reference(self, root: Element, identifier: Identifier, code: str) -> None:
        reference = self.write.group(root, "cac:AdditionalDocumentReference")
        self.leaf(reference, "cbc:ID", identifier.value, schemeID=identifier.scheme)
        self.leaf(reference, "cbc:DocumentTypeCode", code)

    def _attachment(self, root: Element, given: Attachment) -> None:
        reference = self.write.group(root, "cac:AdditionalDocumentReference")
        self.leaf(reference, "cbc:ID", given.id)
        self.leaf(reference, "cbc:DocumentDescription", given.description)
        binary = "cac:Attachment/cbc:EmbeddedDocumentBinaryObject"
        self.leaf(reference, binary, given.content, mimeCode=given.media_type, filename=given.filename)
        self.leaf(reference, "cac:Attachment/cac:ExternalReference/cbc:URI", given.url)

    def _parties(self, root: Element) -> None:
        header = self.header
        debit = header.payment.direct_debit if header.payment else None
        creditor = debit.creditor if debit else None
        seller_creditor, payee_creditor = (creditor, None) if header.payee is None else (None, creditor)
        self._party(self.write.group(root, "cac:AccountingSupplierParty"), header.seller, seller_creditor)
        self._party(self.write.group(root, "cac:AccountingCustomerParty"), header.buyer, None)
        if (payee := header.payee) is not None:
            party = self.write.group(root, "cac:PayeeParty")
            self._identifiers(party, (payee.identifier,) if payee.identifier else (), payee_creditor)
            self.leaf(party, "cac:PartyName/cbc:Name", payee.name)
            if payee.legal_id is not None:
                legal = self.write.group(party, "cac:PartyLegalEntity")
                self.leaf(legal, "cbc:CompanyID", payee.legal_id.value, schemeID=payee.legal_id.scheme)
        if header.tax_representative is not None:
            self._tax_representative(root, header.tax_representative)
        if header.delivery is not None:
            self._delivery(root, header.delivery)

    def _identifiers(self, party: Element, given: tuple[Identifier, ...], creditor: str | None) -> None:
        for identifier in given:
            self.leaf(party, "cac:PartyIdentification/cbc:ID", identifier.value, schemeID=identifier.scheme)
        self.leaf(party, "cac:PartyIdentification/cbc:ID", creditor, schemeID="SEPA")

    def _party(self, role: Element, given: Party, creditor: str | None) -> None:
        party = self.write.group(role, "cac:Party")
        if (address := given.electronic_address) is not None:
            self.leaf(party, "cbc:EndpointID", address.value, schemeID=address.scheme)
        self._identifiers(party, given.identifiers, creditor)
        self.leaf(party, "cac:PartyName/cbc:Name", given.trading_name)
        self._address(party, "cac:PostalAddress", given.address)
        self._tax_scheme(party, given.vat_id, "VAT")
        self._tax_scheme(party, given.tax_id, "TAX")
        legal = self.write.group(party, "cac:PartyLegalEntity")
        self.leaf(legal, "cbc:RegistrationName", given.name)
        if given.legal_id is not None:
            self.leaf(legal, "cbc:CompanyID", given.legal_id.value, schemeID=given.legal_id.scheme)
        self.leaf(legal, "cbc:CompanyLegalForm", given.legal_form)
        if given.contact is not None:
            contact = self.write.group(party, "cac:Contact")
            self.leaf(contact, "cbc:Name", given.contact.name)
            self.leaf(contact, "cbc:Telephone", given.contact.phone)
            self.leaf(contact, "cbc:ElectronicMail", given.contact.email)

    def _tax_scheme(self, party: Element, value: str | None, scheme: str) -> None:
        if value is None:
            return
        group = self.write.group(party, "cac:PartyTaxScheme")
        self.leaf(group, "cbc:CompanyID", value)
        self.leaf(group, "cac:TaxScheme/cbc:ID", scheme)

    def _address(self, parent: Element, tag: str, given: Address) -> None:
        address = self.write.group(parent, tag)
        self.leaf(address, "cbc:StreetName", given.line1)
        self.leaf(address, "cbc:AdditionalStreetName", given.line2)
        self.leaf(address, "cbc:CityName", given.city)
        self.leaf(address, "cbc:PostalZone", given.postcode)
        self.leaf(address, "cbc:CountrySubentity", given.region)
        self.leaf(address, "cac:AddressLine/cbc:Line", given.line3)
        self.leaf(address, "cac:Country/cbc:IdentificationCode", given.country)

    def _tax_representative(self, root: Element, given: TaxRepresentative) -> None:
        party = self.write.group(root, "cac:TaxRepresentativeParty")
        self.leaf(party, "cac:PartyName/cbc:Name", given.name)
        self._address(party, "cac:PostalAddress", given.address)
        self._tax_scheme(party, given.vat_id, "VAT")

    def _delivery(self, root: Element, given: Delivery) -> None:
        delivery = self.write.group(root, "cac:Delivery")
        self.leaf(delivery, "cbc:ActualDeliveryDate", iso(given.date))
        if given.location is not None or given.address is not None:
            location = self.write.group(delivery, "cac:DeliveryLocation")
            if given.location is not None:
                self.leaf(location, "cbc:ID", given.location.value, schemeID=given.location.scheme)
            if given.address is not None:
                self._address(location, "cac:Address", given.address)
        self.leaf(delivery, "cac:DeliveryParty/cac:PartyName/cbc:Name", given.name)

    def _payment(self, root: Element) -> None:
        payment = self.header.payment
        if payment is None:
            if not self.is_invoice and self.header.due_date is not None:
                self._means(root, Payment(means="1"), None)  # "not defined": a credit note's date has no other place
            return
        first, *further = payment.accounts or (None,)
        self._means(root, payment, first)
        for account in further:
            self._means(root, replace(payment, means_text=None), account)  # UBL-SR-46: the text stands once
        self.leaf(root, "cac:PaymentTerms/cbc:Note", payment.terms)

    def _means(self, root: Element, payment: Payment, account: Account | None) -> None:
        means = self.write.group(root, "cac:PaymentMeans")
        self.leaf(means, "cbc:PaymentMeansCode", payment.means, name=payment.means_text)
        if not self.is_invoice:
            self.leaf(means, "cbc:PaymentDueDate", iso(self.header.due_date))
        self.leaf(means, "cbc:PaymentID", payment.remittance)
        if account is not None:
            payee = self.write.group(means, "cac:PayeeFinancialAccount")
            self.leaf(payee, "cbc:ID", account.iban or account.number)
            self.leaf(payee, "cbc:Name", account.name)
            self.leaf(payee, "cac:FinancialInstitutionBranch/cbc:ID", account.bic)
        if payment.direct_debit is not None:
            mandate = self.write.group(means, "cac:PaymentMandate")
            self.leaf(mandate, "cbc:ID", payment.direct_debit.mandate)
            self.leaf(mandate, "cac:PayerFinancialAccount/cbc:ID", payment.direct_debit.debited_iban)

    def _adjustment(self, root: Element, given: DocumentAdjustment, *, charge: bool) -> None:
        terms = given.terms
        group = self.write.group(root, "cac:AllowanceCharge")
        self.leaf(group, "cbc:ChargeIndicator", "true" if charge else "false")
        self.leaf(group, "cbc:AllowanceChargeReasonCode", terms.reason_code)
        self.leaf(group, "cbc:AllowanceChargeReason", terms.reason)
        self.leaf(group, "cbc:MultiplierFactorNumeric", None if terms.percentage is None else plain(terms.percentage))
        self.money(group, "cbc:Amount", amount(terms.amount))
        self.money(group, "cbc:BaseAmount", None if terms.base is None else amount(terms.base))
        self._category(group, given.vat, with_reason=False)

    def _category(self, parent: Element, vat: Vat, *, with_reason: bool) -> None:
        category = self.write.group(parent, "cac:TaxCategory")
        self.leaf(category, "cbc:ID", vat.category.value)
        self.leaf(category, "cbc:Percent", None if vat.category is VatCategory.OUTSIDE_SCOPE else plain(vat.rate))
        if with_reason:
            self.leaf(category, "cbc:TaxExemptionReasonCode", vat.exemption_code)
            self.leaf(category, "cbc:TaxExemptionReason", vat.exemption_reason)
        self.leaf(category, "cac:TaxScheme/cbc:ID", "VAT")

    def _vat(self, root: Element) -> None:
        total = self.write.group(root, "cac:TaxTotal")
        self.money(total, "cbc:TaxAmount", amount(self.totals.vat))
        for each in self.totals.breakdown:
            subtotal = self.write.group(total, "cac:TaxSubtotal")
            self.money(subtotal, "cbc:TaxableAmount", amount(each.taxable))
            self.money(subtotal, "cbc:TaxAmount", amount(each.tax))
            self._category(subtotal, each.vat, with_reason=True)

    def _totals(self, root: Element) -> None:
        totals = self.totals
        group = self.write.group(root, "cac:LegalMonetaryTotal")
        self.money(group, "cbc:LineExtensionAmount", amount(totals.lines))
        self.money(group, "cbc:TaxExclusiveAmount", amount(totals.net))
        self.money(group, "cbc:TaxInclusiveAmount", amount(totals.gross))
        self.money(group, "cbc:AllowanceTotalAmount", amount(totals.allowances) if self.header.allowances else None)
        self.money(group, "cbc:ChargeTotalAmount", amount(totals.charges) if self.header.charges else None)
        self.money(group, "cbc:PrepaidAmount", amount(totals.prepaid) if totals.prepaid != ZERO else None)
        self.money(group, "cbc:PayableRoundingAmount", amount(totals.rounding) if totals.rounding != ZERO else None)
        self.money(group, "cbc:PayableAmount", amount(totals.payable))
