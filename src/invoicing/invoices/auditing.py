"""Checking a request before it is accepted, whole or in pieces, and saying what it is about."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from invoicing.invoices.check_document import document_findings
from invoicing.invoices.check_header import header_findings
from invoicing.invoices.check_lines import line_findings
from invoicing.invoices.checks import findings
from invoicing.invoices.model import Finding
from invoicing.invoices.payload import HeaderPart, InvoicePayload
from invoicing.invoices.payload_line import LinePart
from invoicing.invoices.totals import Sums, finish
from invoicing.jobs.kinds import StreamAudit
from invoicing.jobs.model.holds import Money
from invoicing.kit import problems


def check(payload: InvoicePayload) -> Sequence[problems.Finding]:
    """Find what the schema cannot say: arithmetic, VAT ids, codes, dates."""
    return [_shown(finding) for finding in findings(payload.to_header(), payload.to_lines())]


@dataclass
class Audit:
    """Checks a large request in pieces."""

    payload: HeaderPart
    sums: Sums = field(default_factory=Sums.none)
    seen: set[str] = field(default_factory=set)

    def part(self, items: Sequence[LinePart], first_index: int) -> Sequence[problems.Finding]:
        """Check some lines, and the header with the first of them."""
        lines = [item.to_model() for item in items]
        self.sums += Sums.of(lines)
        found = header_findings(self.payload.to_header()) if first_index == 0 else []
        return [_shown(finding) for finding in [*found, *line_findings(lines, first_index, self.seen)]]

    def end(self) -> Sequence[problems.Finding]:
        """Check the document that all lines make."""
        return [_shown(finding) for finding in document_findings(self.payload.to_header(), self.sums)]


def amount(payload: HeaderPart, audit: StreamAudit | None) -> Money | None:
    """Say what an invoice is about, with its VAT; a credit note as if it were one."""
    header = payload.to_header()
    if isinstance(payload, InvoicePayload):
        sums = Sums.of(payload.to_lines())
    elif isinstance(audit, Audit):
        sums = audit.sums
    else:
        return None
    return Money(abs(finish(sums, header).gross), header.currency)


def _shown(finding: Finding) -> problems.Finding:
    return problems.Finding(finding.rule, finding.field, finding.message, finding.remedy)
