"""All that can be refused at submission, in one call for a request that is held whole.

A large request is checked in pieces, by the three functions that this one calls: its header at once, each part of its
lines as it arrives, the document when the last part is summed.
"""

from collections.abc import Sequence

from invoicing.invoices.check_document import document_findings
from invoicing.invoices.check_header import header_findings
from invoicing.invoices.check_lines import line_findings
from invoicing.invoices.model import Finding, Header, Line
from invoicing.invoices.totals import Sums


def findings(header: Header, lines: Sequence[Line], sums: Sums | None = None) -> list[Finding]:
    """Name everything that is wrong with the request; an empty list means that it may be accepted.

    `sums`: those of the lines, where they are known.
    """
    known = Sums.of(lines) if sums is None else sums
    return [*header_findings(header), *line_findings(lines), *document_findings(header, known)]
