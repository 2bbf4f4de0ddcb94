"""Judging a document that is too large to be judged whole.

Every rule of EN 16931 speaks either of one line or of the document. So each chunk of lines is judged as a small
document of its own, of which only what concerns lines counts; and the document is judged once *folded*: the same
header and totals, with one line per VAT category and rate in place of all of them.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from invoicing.invoices import cii, ubl
from invoicing.invoices.model import ONE, ZERO, Header, Line, Syntax, Totals
from invoicing.invoices.rules import Judge, Violation
from invoicing.invoices.totals import Group, Sums, finish

CHUNK_LINES: Final = 300  # judging them in both syntaxes is about a second of work
DRAFT_NUMBER: Final = "DRAFT"  # a number is allocated last; no rule asks for more than that there is one
_WRITERS: Final = {Syntax.UBL: ubl, Syntax.CII: cii}
_LINE: Final = re.compile(r"/(InvoiceLine|CreditNoteLine|IncludedSupplyChainTradeLineItem)\[(\d+)\]")


def judge_whole(
    judge: Judge, header: Header, lines: Sequence[Line], totals: Totals, number: str = DRAFT_NUMBER
) -> list[Violation]:
    """Judge a document that is small enough, in both syntaxes."""
    return [
        violation
        for syntax, writer in _WRITERS.items()
        for violation in judge.judge(syntax, writer.document(header, lines, totals, number))
    ]


def judge_chunk(judge: Judge, header: Header, lines: Sequence[Line], first_index: int = 0) -> list[Violation]:
    """Judge some lines; locations count from the first line of the whole document, which has index 0."""
    alone = _without_document_terms(header)
    found = judge_whole(judge, alone, lines, finish(Sums.of(lines), alone))
    return [_moved(violation, first_index) for violation in found if concerns_line(violation)]


def judge_folded(judge: Judge, header: Header, sums: Sums, totals: Totals) -> list[Violation]:
    """Judge the rules of the document, from the sums of all its lines and the totals it will show."""
    found = judge_whole(judge, header, folded(sums), totals)
    return [violation for violation in found if not concerns_line(violation)]


def folded(sums: Sums) -> tuple[Line, ...]:
    """Stand one line for all lines of one VAT category and rate."""
    return tuple(_standing_for(group, str(place)) for place, group in enumerate(sums.in_order(), 1))


def concerns_line(violation: Violation) -> bool:
    """Tell whether a violation is found inside a line."""
    return _LINE.search(violation.location) is not None


def line_index(violation: Violation) -> int | None:
    """Give the index, from 0, of the line in which a violation is found."""
    found = _LINE.search(violation.location)
    return None if found is None else int(found.group(2)) - 1


def _standing_for(group: Group, line_id: str) -> Line:
    # A net price is never negative (BR-27): the sign goes to the quantity.
    quantity: Decimal = -ONE if group.net < ZERO else ONE
    return Line(id=line_id, name="Sum", quantity=quantity, unit="C62", price=abs(group.net), vat=group.vat)


def _without_document_terms(header: Header) -> Header:
    return replace(
        header, allowances=(), charges=(), attachments=(), prepaid=ZERO, rounding=ZERO, expected=None, notes=()
    )


def _moved(violation: Violation, first_index: int) -> Violation:
    def shifted(found: re.Match[str]) -> str:
        return f"/{found.group(1)}[{int(found.group(2)) + first_index}]"

    return replace(violation, location=_LINE.sub(shifted, violation.location, count=1))
