"""The kind `invoice.issue`: a request in terms of EN 16931 becomes an issued invoice, however large it is."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from io import BytesIO
from typing import IO, Any

from invoicing.invoices import detail, making, service
from invoicing.invoices.auditing import Audit, amount, check
from invoicing.invoices.chunks import CHUNK_LINES, DRAFT_NUMBER
from invoicing.invoices.codes import CURRENCY, admitted
from invoicing.invoices.model import Finding, Header, Line, Totals
from invoicing.invoices.payload import HeaderPart, InvoicePayload, read_lines
from invoicing.invoices.payload_line import LinePart
from invoicing.invoices.totals import Sums, finish
from invoicing.jobs.kinds import GivesWay, JobKind, Performance, Streamed
from invoicing.jobs.model import Failed, JobError, Outcome, Progress, Rejected, RetryPolicy, Size, Succeeded
from invoicing.jobs.model.keeping import Keep
from invoicing.kit.db import Session

_WHOLE_S, _PRINTED_LINE_S = 0.05, 0.0055
_LARGE_S, _LINE_S = 0.3, 0.0034
"""Seconds of work (measured): of a document, and of a line in it. Judging a line in both syntaxes is 3 ms, printing it
2.5; of a large invoice the months are printed, not the lines."""

_PART_BYTES = 1_000_000
_MOST_SHOWN = 50

_KEEP = Keep.of("10y")
"""Issued invoices are books. German law has them kept for eight calendar years after that of their issue (section 14b
UStG, section 147 AO since 2025; ten before), other countries for up to ten. A request that was refused is no book."""


def size(payload: HeaderPart, streamed: int) -> float:
    """Predict the seconds of work from the number of lines."""
    if isinstance(payload, InvoicePayload):
        return _WHOLE_S + _PRINTED_LINE_S * len(payload.lines)
    return _LARGE_S + _LINE_S * streamed


def warm_up(settings: Mapping[str, str]) -> None:
    """Compile the rules, and print once, so that the first job finds both done."""
    making.workshop(settings.get("rules_dir"))
    payload = InvoicePayload.model_validate(EXAMPLE)
    header, lines = payload.to_header(), payload.to_lines()
    making.write_files(header, lines, finish(Sums.of(lines), header), DRAFT_NUMBER)


async def perform(job: Performance, payload: HeaderPart) -> Outcome:
    """Make the invoice: in one go, or chunk by chunk where its lines were split off."""
    shop = making.workshop(job.settings.get("rules_dir"))
    if isinstance(payload, InvoicePayload):
        return await _whole(job, shop, payload.to_header(), payload.to_lines())
    return await _in_chunks(job, shop, payload.to_header())


async def _whole(job: Performance, shop: making.Workshop, header: Header, lines: Sequence[Line]) -> Outcome:
    totals = finish(Sums.of(lines), header)
    if not await _is_numbered(job):
        judged = making.judge_draft(shop, header, lines, totals)
        if judged.faults:
            return _refused(judged)
    number = await _number(job, shop, header, totals, Progress(len(lines), len(lines), "lines"))
    files = making.write_files(header, lines, totals, number)
    async with job.step() as session:  # without progress: once it is issued there is nothing left to stop
        for name, content in files.items():
            await _write(job, session, name, content)
        await service.mark_issued(session, job.job_id)
    return _issued(number, header, totals)


async def _in_chunks(job: Performance, shop: making.Workshop, header: Header) -> Outcome:
    parts = await job.parts()
    async with job.step() as session:
        made = {chunk.part for chunk in await service.chunks_of(session, job.job_id)}
    total = sum(count for _, count in parts)
    first_index = 0
    for part, count in parts:
        if part not in made:
            judged = await _make_chunk(
                job, shop, header, part, first_index, Progress(first_index + count, total, "lines")
            )
            if judged.faults:
                return _refused(judged)
        first_index += count
    return await _finalise(job, shop, header, len(parts))


async def _make_chunk(
    job: Performance, shop: making.Workshop, header: Header, part: int, first_index: int, progress: Progress
) -> making.Judgement:
    """Make one chunk: read, judge, write, and commit all that in one step."""
    lines = read_lines(await job.part(part))
    judged = making.judge_part(shop, header, lines, first_index)
    if judged.faults:
        return judged
    written = making.write_chunk(header, lines)
    months = making.months_to_json(making.months_of(lines))
    async with job.step(progress) as session:
        if part == 1:
            await _write_part(job, session, making.DETAIL, 0, detail.heading())
        for name, content in written.items():
            await _write_part(job, session, name, part, content)
        chunk = service.Chunk(part, len(lines), Sums.of(lines).to_json(), months)
        await service.add_chunk(session, job.job_id, chunk)
    return judged


async def _finalise(job: Performance, shop: making.Workshop, header: Header, parts: int) -> Outcome:
    async with job.step() as session:
        chunks = await service.chunks_of(session, job.job_id)
    sums = Sums.none()
    for chunk in chunks:
        sums += Sums.from_json(chunk.sums)
    totals = finish(sums, header)
    if not await _is_numbered(job):
        judged = making.judge_frame(shop, header, sums, totals)
        if not judged.faults:
            judged = await _against_schemas(job, shop, header, totals, judged)
        if judged.faults:
            return _refused(judged)
    months = making.add_months(chunk.months for chunk in chunks)
    number = await _number(job, shop, header, totals)
    await _write_large(job, header, totals, months, number, parts)
    return _issued(number, header, totals)


async def _against_schemas(
    job: Performance, shop: making.Workshop, header: Header, totals: Totals, judged: making.Judgement
) -> making.Judgement:
    """Hold the whole draft, as a stream, against the schema of each syntax; gives `judged` back if it passes."""
    for name, syntax, writer in making.SYNTAXES:
        with tempfile.TemporaryFile() as draft:
            await making.spool(writer.frame(header, totals, DRAFT_NUMBER), job.content(name), draft)
            found = shop.schemas.check(syntax, header.type, draft)
        if found:
            return making.judgement(found)
        async with job.step():  # a place to stop between the two
            pass
    return judged


async def _write_large(
    job: Performance,
    header: Header,
    totals: Totals,
    months: Mapping[str, making.Month],
    number: str,
    parts: int,
) -> None:
    """Put head and tail around the chunks that are there, print, and declare all of it issued in one step."""
    with tempfile.TemporaryFile() as ubl_file, tempfile.TemporaryFile() as cii_file, tempfile.TemporaryFile() as pdf:
        frames = {name: writer.frame(header, totals, number) for name, _, writer in making.SYNTAXES}
        hashes = {
            making.UBL: await making.spool(frames[making.UBL], job.content(making.UBL), ubl_file),
            making.CII: await making.spool(frames[making.CII], job.content(making.CII), cii_file),
            making.DETAIL: await _hash(job, making.DETAIL),
        }
        making.write_large_pdf(header, months, totals, number, cii_file, pdf)
        pdf.seek(0)
        async with job.step() as session:
            for name, frame in frames.items():
                await _write_part(job, session, name, 0, frame.head)
                await _write_part(job, session, name, parts + 1, frame.tail)
            for name, sha256 in hashes.items():
                await job.complete(session, name, sha256)
            await _write_stream(job, session, making.PDF, pdf)
            await service.mark_issued(session, job.job_id)


async def _is_numbered(job: Performance) -> bool:
    """Tell whether an earlier attempt judged and numbered the invoice: then it will be issued, not judged again."""
    if job.attempt == 1:
        return False
    async with job.step() as session:
        return await service.number_of(session, job.job_id) is not None


async def _number(
    job: Performance, shop: making.Workshop, header: Header, totals: Totals, progress: Progress | None = None
) -> str:
    """Give the judged invoice its number: from here it will be issued, whatever happens."""
    async with job.step(progress, irrevocable=True) as session:
        wanted = service.numbering(job.job_id, job.customer_id, header, totals.payable, shop.judge.versions)
        return await service.number(session, wanted)


async def _hash(job: Performance, name: str) -> str:
    digest = hashlib.sha256()
    async for piece in job.content(name):
        digest.update(piece)
    return digest.hexdigest()


async def _write_part(job: Performance, session: Session, name: str, seq: int, content: bytes) -> None:
    await job.write_part(session, name, making.MEDIA_TYPES[name], seq, content)


async def _write(job: Performance, session: Session, name: str, content: bytes) -> None:
    await _write_stream(job, session, name, BytesIO(content))


async def _write_stream(job: Performance, session: Session, name: str, content: IO[bytes]) -> None:
    digest = hashlib.sha256()
    seq = 0
    while piece := content.read(_PART_BYTES):
        digest.update(piece)
        await _write_part(job, session, name, seq, piece)
        seq += 1
    await job.complete(session, name, digest.hexdigest())


def _refused(judged: making.Judgement) -> Outcome:
    """End a request that the official rules refuse; where the fault is in what we wrote, say so and do not blame it."""
    first = judged.faults[0]
    error = JobError(
        code="bad_input",
        message=first.message,
        field=f"/payload{first.field}",
        rule=first.rule,
        remedy=first.remedy,
        findings=tuple(_as_json(finding) for finding in judged.faults[:_MOST_SHOWN]),
    )
    if judged.ours:
        return Failed(JobError("document_at_fault", error.message, None, error.rule, error.remedy, error.findings))
    return Rejected(error)


def _issued(number: str, header: Header, totals: Totals) -> Outcome:
    result: dict[str, Any] = {
        "number": number,
        "payable": f"{totals.payable:.2f}",
        "currency": header.currency,
        "type": header.type.value,
        "net": f"{totals.net:.2f}",
        "vat": f"{totals.vat:.2f}",
        "lines": totals.line_count,
    }
    return Succeeded(result)


def _as_json(finding: Finding) -> Mapping[str, str]:
    return {
        "rule": finding.rule,
        "field": f"/payload{finding.field}",
        "message": finding.message,
        "remedy": finding.remedy,
    }


EXAMPLE: Mapping[str, Any] = {
    "type": "invoice",
    "series": "2026",
    "currency": "EUR",
    "issue_date": "2026-11-22",
    "due_date": "2026-12-06",
    "seller": {
        "name": "Cloud GmbH",
        "vat_id": "DE136695976",
        "address": {"line1": "Hauptstr. 1", "postcode": "10115", "city": "Berlin", "country": "DE"},
        "contact": {"name": "Billing", "phone": "+49 30 1", "email": "billing@example.com"},
        "electronic_address": {"scheme": "EM", "value": "billing@example.com"},
    },
    "buyer": {
        "name": "Acme AG",
        "vat_id": None,
        "address": {"line1": "Kai 7", "city": "Hamburg", "postcode": "20095", "country": "DE"},
    },
    "buyer_reference": "PO-7",
    "period": {"start": "2026-10-01", "end": "2026-10-31"},
    "lines": [
        {
            "id": "1",
            "name": "Compute, October",
            "quantity": "300",
            "unit": "HUR",
            "price": "1.00",
            "vat": {"category": "S", "rate": "19"},
            "allowances": [{"amount": "5.00", "reason": "volume"}],
        }
    ],
    "allowances": [],
    "charges": [],
    "payment": {"means": "58", "iban": "DE02120300000000202051", "terms": "14 days net"},
    "notes": ["Thank you."],
    "preceding_invoice": None,
    "expected": {"payable": "351.05"},
}

KIND = JobKind(
    name="invoice.issue",
    title="Issue an e-invoice: EN 16931 as UBL 2.1, CII and Factur-X PDF/A-3b, judged by the official rules",
    payload=InvoicePayload,
    size=size,
    perform=perform,
    check=check,
    amount=amount,
    currencies=lambda: admitted()[CURRENCY],
    streamed=Streamed(
        field="lines", header=HeaderPart, item=LinePart, part_size=CHUNK_LINES, whole_up_to=CHUNK_LINES, audit=Audit
    ),
    promise={
        Size.SMALL: timedelta(minutes=5),
        Size.MEDIUM: timedelta(minutes=15),
        Size.LARGE: timedelta(hours=1),
        Size.HUGE: timedelta(hours=8),
    },
    retry=RetryPolicy(max_attempts=4),
    memory_mb=1_500,
    gives_way=frozenset(GivesWay),
    warm_up=warm_up,
    keep=_KEEP,
    keep_at_least=Keep.of("10y", "30d"),
    let_go=service.remove_issued,
    example=EXAMPLE,
)
