"""An invoice or a credit note as UN/CEFACT CII, in the EN 16931 profile of Factur-X (CEN/TS 16931-3-3)."""

import datetime as dt
from collections.abc import Iterable
from typing import Final

from invoicing.invoices.cii_line import line_of
from invoicing.invoices.markup import Element, Frame, Writer, framed, mark_seam
from invoicing.invoices.model import (
    ZERO,
    Account,
    Address,
    Attachment,
    Contact,
    Delivery,
    DocumentAdjustment,
    Header,
    Identifier,
    Line,
    Party,
    Payment,
    Totals,
    Vat,
    VatBreakdown,
    VatCategory,
)
from invoicing.invoices.numerals import amount, compact, plain

GUIDELINE: Final = "urn:cen.eu:en16931:2017"
_STANDARD: Final = "urn:un:unece:uncefact:data:standard:"
_WRITE: Final = Writer(
    {
        "rsm": f"{_STANDARD}CrossIndustryInvoice:100",
        "ram": f"{_STANDARD}ReusableAggregateBusinessInformationEntity:100",
        "udt": f"{_STANDARD}UnqualifiedDataType:100",
        "qdt": f"{_STANDARD}QualifiedDataType:100",
    }
)
_DAY: Final = "102"  # UNTDID 2379: YYYYMMDD
_ATTACHMENT_TYPE, _TENDER_TYPE, _OBJECT_TYPE = "916", "50", "130"  # UNTDID 1001


def document(header: Header, lines: Iterable[Line], totals: Totals, number: str) -> bytes:
    """Write a whole document at once; for large ones join `frame` and `lines` yourself."""
    around = frame(header, totals, number)
    return around.head + lines_of(header, lines) + around.tail


def lines_of(_header: Header, lines: Iterable[Line]) -> bytes:
    """Write some lines, to go between a frame's head and tail; CII's lines need nothing of the header."""
    return "".join(map(line_of, lines)).encode()


def frame(header: Header, totals: Totals, number: str) -> Frame:
    """Write everything but the lines, which CII has before the parties."""
    root = _WRITE.root("rsm:CrossIndustryInvoice")
    guideline = "ram:GuidelineSpecifiedDocumentContextParameter/ram:ID"
    _leaf(_group(root, "rsm:ExchangedDocumentContext"), guideline, GUIDELINE)
    _exchanged(_group(root, "rsm:ExchangedDocument"), header, number)
    transaction = _group(root, "rsm:SupplyChainTradeTransaction")
    mark_seam(transaction)
    _agreement(_group(transaction, "ram:ApplicableHeaderTradeAgreement"), header)
    _delivery(_group(transaction, "ram:ApplicableHeaderTradeDelivery"), header)
    _settlement(_group(transaction, "ram:ApplicableHeaderTradeSettlement"), header, totals)
    return framed(root)


_group = _WRITE.group
_leaf = _WRITE.leaf


def _day(parent: Element, path: str, day: dt.date | None) -> None:
    _leaf(parent, path, compact(day), format=_DAY)


def _exchanged(parent: Element, header: Header, number: str) -> None:
    _leaf(parent, "ram:ID", number)
    _leaf(parent, "ram:TypeCode", header.type.code)
    _day(parent, "ram:IssueDateTime/udt:DateTimeString", header.issue_date)
    for note in header.notes:
        _leaf(parent, "ram:IncludedNote/ram:Content", note)


def _agreement(parent: Element, header: Header) -> None:
    given = header.references
    _leaf(parent, "ram:BuyerReference", given.buyer)
    _party(parent, "ram:SellerTradeParty", header.seller)
    _party(parent, "ram:BuyerTradeParty", header.buyer)
    if (representative := header.tax_representative) is not None:
        party = _group(parent, "ram:SellerTaxRepresentativeTradeParty")
        _leaf(party, "ram:Name", representative.name)
        _address(party, representative.address)
        _leaf(party, "ram:SpecifiedTaxRegistration/ram:ID", representative.vat_id, schemeID="VA")
    _leaf(parent, "ram:SellerOrderReferencedDocument/ram:IssuerAssignedID", given.sales_order)
    _leaf(parent, "ram:BuyerOrderReferencedDocument/ram:IssuerAssignedID", given.order)
    _leaf(parent, "ram:ContractReferencedDocument/ram:IssuerAssignedID", given.contract)
    for place, attachment in enumerate(header.attachments):
        _attachment(parent, attachment, described=place == _described(header.attachments))
    if given.tender is not None:
        _typed_reference(parent, Identifier(given.tender), _TENDER_TYPE)
    if given.invoiced_object is not None:
        _typed_reference(parent, given.invoiced_object, _OBJECT_TYPE)
    if given.project is not None:
        project = _group(parent, "ram:SpecifiedProcuringProject")
        _leaf(project, "ram:ID", given.project)
        _leaf(project, "ram:Name", "Project reference")  # the schema demands a name, EN 16931 has none


def _described(attachments: tuple[Attachment, ...]) -> int | None:
    """Find the one attachment that may be described: the rules for CII (CII-SR-475) allow no second, UBL's do."""
    return next((place for place, each in enumerate(attachments) if each.description is not None), None)


def _attachment(parent: Element, given: Attachment, *, described: bool) -> None:
    reference = _group(parent, "ram:AdditionalReferencedDocument")
    _leaf(reference, "ram:IssuerAssignedID", given.id)
    _leaf(reference, "ram:URIID", given.url)
    _leaf(reference, "ram:TypeCode", _ATTACHMENT_TYPE)
    _leaf(reference, "ram:Name", given.description if described else None)
    binary = "ram:AttachmentBinaryObject"
    _leaf(reference, binary, given.content, mimeCode=given.media_type, filename=given.filename)


def _typed_reference(parent: Element, identifier: Identifier, code: str) -> None:
    reference = _group(parent, "ram:AdditionalReferencedDocument")
    _leaf(reference, "ram:IssuerAssignedID", identifier.value)
    _leaf(reference, "ram:TypeCode", code)
    _leaf(reference, "ram:ReferenceTypeCode", identifier.scheme)


def _identifier(parent: Element, given: Identifier) -> None:
    _leaf(parent, "ram:ID" if given.scheme is None else "ram:GlobalID", given.value, schemeID=given.scheme)


def _party(parent: Element, tag: str, given: Party) -> None:
    party = _group(parent, tag)
    for identifier in sorted(given.identifiers, key=lambda each: each.scheme is not None):  # the schema has IDs first
        _identifier(party, identifier)
    _leaf(party, "ram:Name", given.name)
    _leaf(party, "ram:Description", given.legal_form)
    _legal(party, given.legal_id, given.trading_name)
    if given.contact is not None:
        _contact(party, given.contact)
    _address(party, given.address)
    if (electronic := given.electronic_address) is not None:
        _leaf(party, "ram:URIUniversalCommunication/ram:URIID", electronic.value, schemeID=electronic.scheme)
    _leaf(party, "ram:SpecifiedTaxRegistration/ram:ID", given.vat_id, schemeID="VA")
    _leaf(party, "ram:SpecifiedTaxRegistration/ram:ID", given.tax_id, schemeID="FC")


def _legal(party: Element, legal_id: Identifier | None, trading_name: str | None) -> None:
    if legal_id is None and trading_name is None:
        return
    legal = _group(party, "ram:SpecifiedLegalOrganization")
    if legal_id is not None:
        _leaf(legal, "ram:ID", legal_id.value, schemeID=legal_id.scheme)
    _leaf(legal, "ram:TradingBusinessName", trading_name)


def _contact(party: Element, given: Contact) -> None:
    contact = _group(party, "ram:DefinedTradeContact")
    _leaf(contact, "ram:PersonName", given.name)
    _leaf(contact, "ram:TelephoneUniversalCommunication/ram:CompleteNumber", given.phone)
    _leaf(contact, "ram:EmailURIUniversalCommunication/ram:URIID", given.email)


def _address(party: Element, given: Address) -> None:
    address = _group(party, "ram:PostalTradeAddress")
    _leaf(address, "ram:PostcodeCode", given.postcode)
    _leaf(address, "ram:LineOne", given.line1)
    _leaf(address, "ram:LineTwo", given.line2)
    _leaf(address, "ram:LineThree", given.line3)
    _leaf(address, "ram:CityName", given.city)
    _leaf(address, "ram:CountryID", given.country)
    _leaf(address, "ram:CountrySubDivisionName", given.region)


def _delivery(parent: Element, header: Header) -> None:
    if (given := header.delivery) is not None:
        _ship_to(parent, given)
        _day(parent, "ram:ActualDeliverySupplyChainEvent/ram:OccurrenceDateTime/udt:DateTimeString", given.date)
    references = header.references
    _leaf(parent, "ram:DespatchAdviceReferencedDocument/ram:IssuerAssignedID", references.despatch)
    _leaf(parent, "ram:ReceivingAdviceReferencedDocument/ram:IssuerAssignedID", references.receipt)
    if not len(parent):
        # The schema demands this group and the rules forbid it empty; without other word the buyer is who was served.
        _leaf(parent, "ram:ShipToTradeParty/ram:Name", header.buyer.name)


def _ship_to(parent: Element, given: Delivery) -> None:
    if not (given.name or given.location or given.address):
        return
    party = _group(parent, "ram:ShipToTradeParty")
    if given.location is not None:
        _identifier(party, given.location)
    _leaf(party, "ram:Name", given.name)
    if given.address is not None:
        _address(party, given.address)


def _settlement(parent: Element, header: Header, totals: Totals) -> None:
    payment = header.payment
    debit = payment.direct_debit if payment else None
    _leaf(parent, "ram:CreditorReferenceID", debit.creditor if debit else None)
    _leaf(parent, "ram:PaymentReference", payment.remittance if payment else None)
    _leaf(parent, "ram:InvoiceCurrencyCode", header.currency)
    if (payee := header.payee) is not None:
        party = _group(parent, "ram:PayeeTradeParty")
        if payee.identifier is not None:
            _identifier(party, payee.identifier)
        _leaf(party, "ram:Name", payee.name)
        _legal(party, payee.legal_id, None)
    if payment is not None:
        for account in payment.accounts or (None,):
            _means(_group(parent, "ram:SpecifiedTradeSettlementPaymentMeans"), payment, account)
    for each in totals.breakdown:
        _breakdown(_group(parent, "ram:ApplicableTradeTax"), each, header.tax_point_date)
    if header.period is not None:
        period = _group(parent, "ram:BillingSpecifiedPeriod")
        _day(period, "ram:StartDateTime/udt:DateTimeString", header.period.start)
        _day(period, "ram:EndDateTime/udt:DateTimeString", header.period.end)
    for allowance in header.allowances:
        _adjustment(_group(parent, "ram:SpecifiedTradeAllowanceCharge"), allowance, charge=False)
    for charge in header.charges:
        _adjustment(_group(parent, "ram:SpecifiedTradeAllowanceCharge"), charge, charge=True)
    _terms(parent, header)
    _summation(_group(parent, "ram:SpecifiedTradeSettlementHeaderMonetarySummation"), header, totals)
    if (preceding := header.preceding_invoice) is not None:
        reference = _group(parent, "ram:InvoiceReferencedDocument")
        _leaf(reference, "ram:IssuerAssignedID", preceding.number)
        _day(reference, "ram:FormattedIssueDateTime/qdt:DateTimeString", preceding.date)
    _leaf(parent, "ram:ReceivableSpecifiedTradeAccountingAccount/ram:ID", header.references.buyer_accounting)


def _means(parent: Element, payment: Payment, account: Account | None) -> None:
    _leaf(parent, "ram:TypeCode", payment.means)
    _leaf(parent, "ram:Information", payment.means_text)
    debited = payment.direct_debit.debited_iban if payment.direct_debit else None
    _leaf(parent, "ram:PayerPartyDebtorFinancialAccount/ram:IBANID", debited)
    if account is not None:
        creditor = _group(parent, "ram:PayeePartyCreditorFinancialAccount")
        _leaf(creditor, "ram:IBANID", account.iban)
        _leaf(creditor, "ram:AccountName", account.name)
        _leaf(creditor, "ram:ProprietaryID", account.number)
        _leaf(parent, "ram:PayeeSpecifiedCreditorFinancialInstitution/ram:BICID", account.bic)


def _rate(vat: Vat) -> str | None:
    return None if vat.category is VatCategory.OUTSIDE_SCOPE else plain(vat.rate)


def _breakdown(parent: Element, given: VatBreakdown, tax_point: dt.date | None) -> None:
    _leaf(parent, "ram:CalculatedAmount", amount(given.tax))
    _leaf(parent, "ram:TypeCode", "VAT")
    _leaf(parent, "ram:ExemptionReason", given.vat.exemption_reason)
    _leaf(parent, "ram:BasisAmount", amount(given.taxable))
    _leaf(parent, "ram:CategoryCode", given.vat.category.value)
    _leaf(parent, "ram:ExemptionReasonCode", given.vat.exemption_code)
    _day(parent, "ram:TaxPointDate/udt:DateString", tax_point)
    _leaf(parent, "ram:RateApplicablePercent", _rate(given.vat))


def _adjustment(parent: Element, given: DocumentAdjustment, *, charge: bool) -> None:
    terms = given.terms
    _leaf(parent, "ram:ChargeIndicator/udt:Indicator", "true" if charge else "false")
    _leaf(parent, "ram:CalculationPercent", None if terms.percentage is None else plain(terms.percentage))
    _leaf(parent, "ram:BasisAmount", None if terms.base is None else amount(terms.base))
    _leaf(parent, "ram:ActualAmount", amount(terms.amount))
    _leaf(parent, "ram:ReasonCode", terms.reason_code)
    _leaf(parent, "ram:Reason", terms.reason)
    tax = _group(parent, "ram:CategoryTradeTax")
    _leaf(tax, "ram:TypeCode", "VAT")
    _leaf(tax, "ram:CategoryCode", given.vat.category.value)
    _leaf(tax, "ram:RateApplicablePercent", _rate(given.vat))


def _terms(parent: Element, header: Header) -> None:
    payment = header.payment
    mandate = payment.direct_debit.mandate if payment and payment.direct_debit else None
    terms = payment.terms if payment else None
    if terms is None and header.due_date is None and mandate is None:
        return
    group = _group(parent, "ram:SpecifiedTradePaymentTerms")
    _leaf(group, "ram:Description", terms)
    _day(group, "ram:DueDateDateTime/udt:DateTimeString", header.due_date)
    _leaf(group, "ram:DirectDebitMandateID", mandate)


def _summation(parent: Element, header: Header, totals: Totals) -> None:
    _leaf(parent, "ram:LineTotalAmount", amount(totals.lines))
    _leaf(parent, "ram:ChargeTotalAmount", amount(totals.charges) if header.charges else None)
    _leaf(parent, "ram:AllowanceTotalAmount", amount(totals.allowances) if header.allowances else None)
    _leaf(parent, "ram:TaxBasisTotalAmount", amount(totals.net))
    _leaf(parent, "ram:TaxTotalAmount", amount(totals.vat), currencyID=header.currency)
    _leaf(parent, "ram:RoundingAmount", amount(totals.rounding) if totals.rounding != ZERO else None)
    _leaf(parent, "ram:GrandTotalAmount", amount(totals.gross))
    _leaf(parent, "ram:TotalPrepaidAmount", amount(totals.prepaid) if totals.prepaid != ZERO else None)
    _leaf(parent, "ram:DuePayableAmount", amount(totals.payable))
