"""From a checked request to the files of an invoice: drafted, judged, and written once it has its number."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import IO, Any, BinaryIO, Final

from invoicing.invoices import cii, detail, ubl
from invoicing.invoices.chunks import DRAFT_NUMBER, judge_chunk, judge_folded, judge_whole
from invoicing.invoices.markup import Frame
from invoicing.invoices.model import Finding, Header, Line, Syntax, Totals
from invoicing.invoices.pdf import write_pdf
from invoicing.invoices.print.page import LINES_PRINTED_AT_MOST, Summary, SummaryGroup, printed
from invoicing.invoices.rules import Judge, Violation
from invoicing.invoices.rules_text import findings_of, is_ours
from invoicing.invoices.schemas import Schemas
from invoicing.invoices.totals import Sums, line_net

UBL: Final = "invoice.ubl.xml"
CII: Final = "invoice.cii.xml"
PDF: Final = "invoice.pdf"
DETAIL: Final = "invoice.lines.csv"
MEDIA_TYPES: Final = {UBL: "application/xml", CII: "application/xml", PDF: "application/pdf", DETAIL: "text/csv"}

SYNTAXES: Final[tuple[tuple[str, Syntax, ModuleType], ...]] = ((UBL, Syntax.UBL, ubl), (CII, Syntax.CII, cii))

_NO_MONTH: Final = ""


@dataclass(frozen=True)
class Workshop:
    """What judging needs: the compiled rules and schemas, made once per process."""

    judge: Judge
    schemas: Schemas


@cache
def workshop(rules_dir: str | None) -> Workshop:
    """Give this process its workshop; making it takes a second or two and some 200 MB."""
    return Workshop(Judge(None if rules_dir is None else Path(rules_dir)), Schemas())


@dataclass(frozen=True)
class Judgement:
    """What the rules and schemas say of a document: every fault forbids issuing it.

    The flag that a rule carries is not asked: the official CII rules call nearly all of theirs a warning, also those
    that EN 16931 makes mandatory.
    """

    faults: tuple[Finding, ...]
    ours: bool
    """Whether the first fault can only lie in the document that we wrote, not in what was asked for."""


def judgement(violations: Iterable[Violation]) -> Judgement:
    """Word violations as the faults of a document."""
    found = list(violations)
    return Judgement(tuple(findings_of(found)), ours=bool(found) and is_ours(found[0]))


def judge_draft(shop: Workshop, header: Header, lines: Sequence[Line], totals: Totals) -> Judgement:
    """Judge a document that is small enough to be judged whole, by rules and schemas, before it has a number."""
    return judgement([*judge_whole(shop.judge, header, lines, totals), *_against_schemas(shop, header, lines, totals)])


def _against_schemas(shop: Workshop, header: Header, lines: Sequence[Line], totals: Totals) -> Iterator[Violation]:
    for _, syntax, writer in SYNTAXES:
        document = writer.document(header, lines, totals, DRAFT_NUMBER)
        yield from shop.schemas.check(syntax, header.type, BytesIO(document))


def judge_part(shop: Workshop, header: Header, lines: Sequence[Line], first_index: int) -> Judgement:
    """Judge a chunk of a large document's lines."""
    return judgement(judge_chunk(shop.judge, header, lines, first_index))


def judge_frame(shop: Workshop, header: Header, sums: Sums, totals: Totals) -> Judgement:
    """Judge what stands around a large document's lines, with its real totals."""
    return judgement(judge_folded(shop.judge, header, sums, totals))


def write_files(header: Header, lines: Sequence[Line], totals: Totals, number: str) -> Mapping[str, bytes]:
    """Write the files of a small invoice; the same input gives the same bytes."""
    files = {name: writer.document(header, lines, totals, number) for name, _, writer in SYNTAXES}
    pdf = BytesIO()
    write_pdf(printed(header, lines, totals, number), BytesIO(files[CII]), pdf)
    return {**files, PDF: pdf.getvalue(), DETAIL: detail.heading() + detail.rows_of(lines)}


def write_chunk(header: Header, lines: Sequence[Line]) -> Mapping[str, bytes]:
    """Write a chunk of lines as it will stand in each file of a large invoice."""
    written = {name: writer.lines_of(header, lines) for name, _, writer in SYNTAXES}
    return {**written, DETAIL: detail.rows_of(lines)}


async def spool(frame: Frame, chunks: AsyncIterator[bytes], into: IO[bytes]) -> str:
    """Write a large document to a file, chunk by chunk; gives its sha256 and leaves the file at its start."""
    digest = hashlib.sha256()
    into.write(frame.head)
    digest.update(frame.head)
    async for piece in chunks:
        into.write(piece)
        digest.update(piece)
    into.write(frame.tail)
    digest.update(frame.tail)
    into.seek(0)
    return digest.hexdigest()


@dataclass(frozen=True)
class Month:
    """What a large invoice prints of one month."""

    lines: int
    net: Decimal


def months_of(lines: Iterable[Line]) -> dict[str, Month]:
    """Sum lines by the month in which their period starts (`2026-10`); those without a period stand together."""
    months: dict[str, Month] = {}
    for line in lines:
        key = f"{line.period.start:%Y-%m}" if line.period and line.period.start else _NO_MONTH
        had = months.get(key, Month(0, Decimal(0)))
        months[key] = Month(had.lines + 1, had.net + line_net(line))
    return months


def months_to_json(months: Mapping[str, Month]) -> dict[str, list[object]]:
    """Give the sums by month as JSON values."""
    return {key: [month.lines, f"{month.net:f}"] for key, month in months.items()}


def add_months(all_of_them: Iterable[Mapping[str, Any]]) -> dict[str, Month]:
    """Add up what `months_to_json` gave of each chunk, in the order of the months."""
    months: dict[str, Month] = {}
    for stored in all_of_them:
        for key, (lines, net) in stored.items():
            had = months.get(key, Month(0, Decimal(0)))
            months[key] = Month(had.lines + int(lines), had.net + Decimal(net))
    return dict(sorted(months.items()))


def write_large_pdf(
    header: Header, months: Mapping[str, Month], totals: Totals, number: str, cii_file: BinaryIO, out: BinaryIO
) -> None:
    """Print a large invoice: months in place of its lines, and the file that lists them."""
    groups = tuple(SummaryGroup(key or "-", month.lines, month.net) for key, month in months.items())
    body = Summary(groups[:LINES_PRINTED_AT_MOST], DETAIL)
    write_pdf(printed(header, body, totals, number), cii_file, out)
