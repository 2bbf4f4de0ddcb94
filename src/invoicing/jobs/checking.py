"""Checking a large request in a child process: its items in parts, the rest as one, never all of it at once.

What comes back is small (`Verdict`): the parts themselves are left in a file beside the request's own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from invoicing.jobs.kinds import JobKind, Kinds, Streamed
from invoicing.jobs.submission import (
    Checked,
    Known,
    Submission,
    Submissions,
    below,
    refuse_nul,
    submission_model,
    without_payload,
)
from invoicing.kit.findings import MOST_FINDINGS, findings_of, malformed, no_json, refused
from invoicing.kit.problems import Finding, Problem
from invoicing.kit.scan import OutlineError, Piece, items, line_and_column, members


@dataclass(frozen=True)
class Part:
    """A part of a split request: where it lies in the file of parts, and how many items it has."""

    first: int
    length: int
    items: int


@dataclass(frozen=True)
class Verdict:
    """What the child says of a request: checked, with its parts where it was split; or the problem, as arguments."""

    checked: Checked | None = None
    parts: tuple[Part, ...] = ()
    problem: dict[str, Any] | None = None

    @property
    def of(self) -> Checked:
        """The request, in which nothing is wrong."""
        if self.checked is None:
            raise ValueError("a request with a problem is not checked")
        return self.checked


@dataclass(frozen=True)
class Outline:
    """Where things lie in a request whose streamed field may be split off."""

    kind: JobKind
    streamed: Streamed
    payload: Piece
    members: Mapping[str, Piece]
    form: type[Submission]

    @property
    def field(self) -> Piece:
        """Where the items are."""
        return self.members[self.streamed.field]


class Checker:
    """Checks requests that are files."""

    def __init__(self, kinds: Kinds, form: type[Submission] = Submission) -> None:
        """Know the kinds; of one alone a form may leave out which it is."""
        self._submissions = Submissions(kinds, form)
        self.kinds = kinds
        self._form = form

    def check(self, request: Path, parts: Path) -> Verdict:
        """Check a request; its parts, if it has any, are written to `parts` (the first of them is the envelope)."""
        try:
            with (
                request.open("rb") as file,
                mmap(file.fileno(), 0, access=ACCESS_READ) as data,
                parts.open("wb") as out,
            ):
                return self._check(data, out)
        except Problem as problem:
            return Verdict(problem=as_arguments(problem))

    def _check(self, data: mmap, out: BinaryIO) -> Verdict:
        try:
            outline = self._outline(data)
            if outline is None or not _more_than(data, outline.field, outline.streamed.whole_up_to):
                return self._whole(data)
            return _split(data, outline, out)
        except OutlineError as error:
            line, column = line_and_column(data, error.place)
            raise no_json(f"{error.what} at line {line} column {column}") from error

    def _whole(self, data: mmap) -> Verdict:
        checked = self._submissions.check(self._submissions.read(data[:]))
        return Verdict(replace(checked, amount=Known(checked.amount())))  # without the payload

    def _outline(self, data: mmap) -> Outline | None:
        """Find the streamed field; None when the request has none, which the whole check then says better."""
        found = dict(members(data, 0))
        kind = self._kind(data, found)
        if "payload" not in found:
            return None
        if kind is None or kind.streamed is None or data[found["payload"].first] != ord("{"):
            return None
        within = dict(members(data, found["payload"].first))
        field = within.get(kind.streamed.field)
        if field is None or data[field.first] != ord("["):
            return None
        return Outline(kind, kind.streamed, found["payload"], within, self._form)

    def _kind(self, data: mmap, found: Mapping[str, Piece]) -> JobKind | None:
        if "kind" not in found:
            return None if self._form.names_its_kind else next(iter(self.kinds.values()))
        name = data[found["kind"].first : min(found["kind"].end, found["kind"].first + 1_000)]
        return self.kinds.get(_text(name))


def _text(raw: bytes) -> str:
    try:
        return str(from_json(raw))
    except ValueError:
        return ""


def _more_than(data: mmap, field: Piece, most: int) -> bool:
    return next(islice(items(data, field.first), most, None), None) is not None


def _split(data: mmap, outline: Outline, out: BinaryIO) -> Verdict:
    findings: list[Finding] = []
    submission = _header(data, outline, findings)
    begin = outline.streamed.audit
    audit = None if submission is None or begin is None else begin(submission.payload)
    envelope = data[: outline.field.first] + b"[]" + data[outline.field.end :]
    parts, count = [Part(0, out.write(envelope), 0)], 0
    for raw, validated in _validated_parts(data, outline, findings):
        if audit is not None and not findings:
            findings += below("/payload", audit.part(validated, count))
        parts.append(Part(out.tell(), out.write(raw), len(validated)))
        count += len(validated)
    if audit is not None and not findings:
        findings += below("/payload", audit.end())
    if submission is None or findings:
        raise refused(findings)
    estimated_s = float(outline.kind.size(submission.payload, count))
    worth = Known(outline.kind.amount(submission.payload, audit))
    return Verdict(without_payload(outline.kind, submission, estimated_s, worth), tuple(parts))


def _header(data: mmap, outline: Outline, findings: list[Finding]) -> Submission | None:
    """Read all but the streamed field, by the header's schema; what is wrong with it is added to `findings`."""
    kept = b",".join(
        to_json(name) + b":" + data[value.first : value.end]
        for name, value in outline.members.items()
        if name != outline.streamed.field
    )
    text = data[: outline.payload.first] + b"{" + kept + b"}" + data[outline.payload.end :]
    refuse_nul(text)
    try:
        model = submission_model(outline.kind, outline.streamed.header, outline.form)
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        broken = malformed(error)
        if broken is not None:
            raise broken from error
        findings += findings_of(error)
        return None


def _validated_parts(data: mmap, outline: Outline, findings: list[Finding]) -> Iterator[tuple[bytes, Sequence[Any]]]:
    """Give the parts, as bytes and as validated items; ends early when enough was found to be wrong."""
    adapter = TypeAdapter(list[outline.streamed.item])  # type: ignore[name-defined]  # the kind's own model
    base, first = f"/payload/{outline.streamed.field}", 0
    pieces = items(data, outline.field.first)
    while (part := list(islice(pieces, outline.streamed.part_size))) and len(findings) < MOST_FINDINGS:
        raw = b"[" + b",".join(data[piece.first : piece.end] for piece in part) + b"]"
        refuse_nul(raw)
        try:
            validated = adapter.validate_json(raw, strict=True)
        except ValidationError as error:
            if malformed(error) is not None:
                raise _broken_item(data, part) from error
            findings += findings_of(error, base, first_index=first)
        else:
            yield raw, validated
        first += len(part)


def _broken_item(data: mmap, part: Sequence[Piece]) -> Problem:
    """Name the place of the first item of a part that is no JSON."""
    for piece in part:
        try:
            from_json(data[piece.first : piece.end])
        except ValueError as error:
            line, column = line_and_column(data, piece.first)
            what = str(error).partition(" at line ")[0]
            return no_json(f"the item here is wrong: {what} at line {line} column {column}")
    line, column = line_and_column(data, part[0].first)
    return no_json(f"expected other separators at line {line} column {column}")


def as_arguments(problem: Problem) -> dict[str, Any]:
    """Give what a problem is made of, to be made again in another process."""
    return {
        "code": problem.code,
        "detail": problem.detail,
        "field": problem.field,
        "remedy": problem.remedy,
        "findings": problem.findings,
        "headers": problem.headers,
        "facts": problem.facts,
    }
