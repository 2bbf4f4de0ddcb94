"""A wrong request for an invoice is refused alike whole and in pieces; what is issued is what was judged."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.invoices import making
from invoicing.invoices.auditing import Audit
from invoicing.invoices.chunks import CHUNK_LINES, DRAFT_NUMBER
from invoicing.invoices.model import DocumentType, Syntax
from invoicing.invoices.payload import HeaderPart, InvoicePayload
from invoicing.invoices.totals import Sums, finish
from invoicing.jobs.model import Size
from invoicing.kit.problems import Finding
from invoicing.lanes.model import POLICY
from workers.kinds.invoice_issue import EXAMPLE, KIND, size

_EXAMPLES = Path(__file__).parents[3] / "examples"
_GOOD = ("small", "several-rates", "allowances", "credit-note", "reverse-charge")
_NUMBER = "2026-000042"

Payload = dict[str, Any]
Spoil = Callable[[Payload], object]


def _ten_lines() -> Payload:
    payload: Payload = json.loads(json.dumps(EXAMPLE))
    (line,) = payload["lines"]
    payload["lines"] = [{**line, "id": str(place)} for place in range(10)]
    payload["expected"] = {"payable": "3510.50"}
    return payload


def _line(place: int, **terms: object) -> Spoil:
    def spoil(payload: Payload) -> None:
        payload["lines"][place].update(terms)
        payload.pop("expected", None)

    return spoil


WRONG: dict[str, tuple[Spoil, set[str]]] = {
    "nothing": (lambda _: None, set()),
    "total": (lambda p: p["expected"].update(payable="3510.51"), {"/expected/payable"}),
    "VAT id": (lambda p: p["seller"].update(vat_id="DE136695967"), {"/seller/vat_id"}),
    "IBAN": (lambda p: p["payment"].update(iban="DE02120300000000202052"), {"/payment/iban"}),
    "currency": (lambda p: p.update(currency="EUX"), {"/currency"}),
    "due before issue": (lambda p: p.update(due_date="2026-11-21"), {"/due_date"}),
    "period": (lambda p: p["period"].update(end="2026-09-30"), {"/period/end"}),
    "rate of a category": (_line(4, vat={"category": "Z", "rate": "19"}), {"/lines/4/vat/rate"}),
    "category without reason": (_line(9, vat={"category": "E"}), {"/lines"}),
    "reverse charge of nobody": (
        _line(0, vat={"category": "AE", "exemption_code": "VATEX-EU-AE"}),
        {"/buyer/vat_id"},
    ),
    "allowance arithmetic": (
        _line(7, allowances=[{"amount": "5.00", "reason": "x", "base": "100.00", "percentage": "6"}]),
        {"/lines/7/allowances/0/amount"},
    ),
    "a line id twice": (_line(8, id="2"), {"/lines/8/id"}),
    "several": (
        lambda p: (_line(3, unit="FURLONG")(p), _line(6, id="5")(p), p.update(currency="EUX")),
        {"/currency", "/lines/3/unit", "/lines/6/id"},
    ),
}


def _whole(payload: Payload) -> Sequence[Finding]:
    return KIND.check(InvoicePayload.model_validate(payload))


def _in_pieces(payload: Payload, cuts: Sequence[int]) -> Sequence[Finding]:
    header = HeaderPart.model_validate({name: value for name, value in payload.items() if name != "lines"})
    lines = InvoicePayload.model_validate(payload).lines
    audit, found = Audit(header), list[Finding]()
    bounds = sorted({0, len(lines), *cuts})
    for start, end in pairwise(bounds):
        found += audit.part(lines[start:end], start)
    return [*found, *audit.end()]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_is_refused_at_its_fields_with_what_to_do(name: str) -> None:
    spoil, fields = WRONG[name]
    payload = _ten_lines()
    spoil(payload)
    found = _whole(payload)
    assert {finding.field for finding in found} == fields
    assert all(finding.code and finding.message and finding.remedy for finding in found)


@given(name=st.sampled_from(sorted(WRONG)), cuts=st.lists(st.integers(1, 9), max_size=5))
def test_however_a_request_is_cut_the_same_is_found(name: str, cuts: list[int]) -> None:
    spoil, _ = WRONG[name]
    payload = _ten_lines()
    spoil(payload)
    assert _in_pieces(payload, cuts) == _whole(payload)


class _Recorder:
    """Stands where the judge and the schemas stand, and keeps what they are shown."""

    def __init__(self) -> None:
        self.judged: dict[Syntax, bytes] = {}
        self.checked: dict[Syntax, bytes] = {}

    def judge(self, syntax: Syntax, document: bytes) -> list[Any]:
        self.judged[syntax] = document
        return []

    def check(self, syntax: Syntax, _type: DocumentType, document: IO[bytes]) -> list[Any]:
        self.checked[syntax] = document.read()
        return []


@pytest.mark.parametrize("name", _GOOD)
def test_the_issued_documents_are_the_judged_ones_but_for_the_number(name: str) -> None:
    payload = InvoicePayload.model_validate(json.loads((_EXAMPLES / f"{name}.json").read_text("utf-8"))["payload"])
    header, lines = payload.to_header(), payload.to_lines()
    totals = finish(Sums.of(lines), header)
    seen = _Recorder()
    making.judge_draft(making.Workshop(seen, seen), header, lines, totals)  # type: ignore[arg-type]  # records, judges nothing
    issued = making.write_files(header, lines, totals, _NUMBER)
    for file, syntax, _ in making.SYNTAXES:
        draft = seen.judged[syntax]
        assert draft == seen.checked[syntax]
        assert draft.count(DRAFT_NUMBER.encode()) == 1
        assert draft.replace(DRAFT_NUMBER.encode(), _NUMBER.encode()) == issued[file]


def test_a_large_document_is_its_chunks_inside_the_frame_that_was_judged() -> None:
    payload = InvoicePayload.model_validate(_ten_lines())
    header, lines = payload.to_header(), payload.to_lines()
    totals = finish(Sums.of(lines), header)
    whole = making.write_files(header, lines, totals, _NUMBER)
    chunks = [making.write_chunk(header, lines[start : start + 3]) for start in range(0, 10, 3)]
    for file, _, writer in making.SYNTAXES:
        draft, issued = writer.frame(header, totals, DRAFT_NUMBER), writer.frame(header, totals, _NUMBER)
        assert (draft.head + draft.tail).replace(DRAFT_NUMBER.encode(), _NUMBER.encode()) == issued.head + issued.tail
        assert issued.head + b"".join(chunk[file] for chunk in chunks) + issued.tail == whole[file]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [(1, Size.SMALL), (10, Size.SMALL), (150, Size.SMALL), (300, Size.MEDIUM), (1_000, Size.MEDIUM),
     (50_000, Size.LARGE), (200_000, Size.LARGE), (300_000, Size.HUGE)],
)  # fmt: skip
def test_an_invoice_is_taken_for_the_class_that_its_work_belongs_to(lines: int, expected: Size) -> None:
    """Measured: 50 ms for one line, 0.7 s for 150, 1.6 s for 300, and 1 s for each 300 of a large one."""
    payload = _ten_lines()
    (line, *_) = payload.pop("lines")
    if lines <= CHUNK_LINES:
        predicted = size(InvoicePayload.model_validate({**payload, "lines": [line] * lines}), 0)
    else:
        predicted = size(HeaderPart.model_validate(payload), lines)
    assert POLICY.cutoffs.classify(predicted) is expected
