"""A request as its customer sent it: read once, checked against its kind, and made into a job to be accepted."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial, reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from invoicing.jobs.kinds import JobKind, Kinds
from invoicing.jobs.model import NewJob, Priority, Size
from invoicing.jobs.model.calendars import Promise, calendar_of, due_of, span_of
from invoicing.jobs.model.holds import FREE, Terms
from invoicing.jobs.model.money import Money
from invoicing.kit.clock import now
from invoicing.kit.findings import MOST_FINDINGS, findings_of, malformed, refused
from invoicing.kit.ids import new_id
from invoicing.kit.moments import Moment
from invoicing.kit.problems import Finding, Problem

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

Reference = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["PO-7"])]
Webhook = Annotated[
    str,
    Field(
        max_length=2000,
        pattern=r"^(https?://[!-~]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$",
        examples=["https://example.com/hooks/invoicing"],
    ),
]


class Submission(BaseModel):
    """What every request may say, whatever its kind."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    names_its_kind: ClassVar[bool] = True

    kind: str
    payload: Any
    priority: Annotated[Priority | None, Field(description="Left out: what is usual for the kind.")] = None
    reference: Annotated[Reference | None, Field(description="Your own name for it; jobs can be listed by it.")] = None
    webhook: Annotated[
        Webhook | None,
        Field(description="The URL or id of one of your webhooks, to tell it alone; left out: all of them."),
    ] = None
    deadline: Annotated[
        Moment | None, Field(description="When it is of no more use to you; kept, nothing acts on it yet.")
    ] = None


class BatchLine(Submission):
    """A request among many."""

    idempotency_key: Annotated[
        str | None,
        Field(pattern="^[!-~]{1,255}$", description="Left out: the batch's key, a colon, and the line's number."),
    ] = None


class Draft(Submission):
    """A request that is only asked about, at the address of its kind."""

    names_its_kind: ClassVar[bool] = False


@dataclass(frozen=True)
class Placed:
    """Where a job goes: its size class, how long after its acceptance it counts as due, and its predicted work."""

    size: Size
    order_delay: timedelta
    predicted_s: float
    """What its kind estimated (seconds), corrected by experience where there is some."""


Placement = Callable[[str, UUID, float, Priority], Placed]
"""Decides from the kind, the customer, what the kind estimated (seconds) and the priority; the lanes' rule, handed in
from above. It is asked for every request, so it looks nothing up."""


Agreed = Callable[[JobKind, UUID, Size], Promise]
"""Says what is promised for a job of a kind, of a customer, of a size class; asked for every request as well."""


Holding = Callable[[JobKind, UUID, float, Callable[[], Money | None]], Terms]
"""Says what may hold a job of a kind, of a customer, of what its kind estimated (seconds), and worth so much; asked for
every request as well."""


def unheld(_kind: JobKind, _customer_id: UUID, _estimated_s: float, _worth: Callable[[], Money | None]) -> Terms:
    """Hold nothing."""
    return FREE


def as_usual(kind: JobKind, _customer_id: UUID, size: Size) -> Promise:
    """Promise what the kind says."""
    return kind.promise[size]


@dataclass(frozen=True)
class Known:
    """An amount that is known, for those who ask for one."""

    amount: Money | None = None

    def __call__(self) -> Money | None:
        """Give it."""
        return self.amount


@dataclass(frozen=True)
class Checked:
    """A request in which nothing is wrong, without its payload."""

    kind: str
    priority: Priority
    reference: str | None
    webhook: str | None
    deadline: datetime | None
    estimated_s: float
    amount: Callable[[], Money | None] = Known()
    """What it is worth: told at once where it was checked elsewhere, else when asked for."""
    needs: str = ""
    """What its work needs from outside, by name."""


@dataclass(frozen=True)
class Origin:
    """Who sends a request, under which idempotency key, and the fingerprint of what was sent."""

    customer_id: UUID
    key_id: UUID
    idempotency_key: str
    body_hash: bytes


class Submissions:
    """Reads requests of the kinds on offer."""

    def __init__(self, kinds: Kinds, form: type[Submission] = Submission) -> None:
        """Build one validator for all kinds, told apart by `kind`."""
        self.kinds = kinds
        self.models = {kind.name: submission_model(kind, kind.payload, form) for kind in kinds.values()}
        union = reduce(or_, self.models.values()) if self.models else Submission
        self._tagged = len(self.models) > 1
        annotated: Any = Annotated[union, Field(discriminator="kind")] if self._tagged else union
        self._adapter: TypeAdapter[Submission] = TypeAdapter(annotated)

    def read(self, body: bytes) -> Submission:
        """Read a request; raises `Problem` naming everything that its schema forbids."""
        refuse_nul(body)
        try:
            return self._adapter.validate_json(body, strict=True)
        except ValidationError as error:
            raise malformed(error) or refused(self._findings(error)) from error

    def check(self, submission: Submission) -> Checked:
        """Judge what was read by the rules of its kind; raises `Problem` with what they forbid."""
        kind = self.kinds[submission.kind]
        findings = below("/payload", kind.check(submission.payload))
        if findings:
            raise refused(findings)
        worth = partial(kind.amount, submission.payload, None)
        return without_payload(kind, submission, float(kind.size(submission.payload, 0)), worth)

    def splits(self, submission: Submission) -> bool:
        """Tell whether a request has more items than its kind takes in one piece."""
        streamed = self.kinds[submission.kind].streamed
        return streamed is not None and len(getattr(submission.payload, streamed.field)) > streamed.whole_up_to

    def _findings(self, error: ValidationError) -> list[Finding]:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "union_tag_not_found" and not first["loc"]:
            return [Finding("missing", "/kind", "This field is required.", self._offer())]
        if first["type"] == "union_tag_invalid" or (first["type"] == "literal_error" and first["loc"] == ("kind",)):
            return [Finding("unknown_kind", "/kind", "There is no such kind of job.", self._offer())]
        return findings_of(error, tags=1 if self._tagged else 0)

    def _offer(self) -> str:
        return f"The kinds are {', '.join(self.kinds)}."


def submission_model(kind: JobKind, payload: type[BaseModel], form: type[Submission] = Submission) -> type[Submission]:
    """Give the schema of a request of a kind; `payload` is its payload, or the header of a split one."""
    title = form.__name__ + "".join(word.capitalize() for word in re.split(r"\W+|_", kind.name))
    named = ... if form.names_its_kind else kind.name
    fields: dict[str, Any] = {"kind": (Literal.__getitem__(kind.name), named), "payload": (payload, ...)}
    return create_model(title, __base__=form, __doc__=kind.title, **fields)


def without_payload(
    kind: JobKind, submission: Submission, estimated_s: float, amount: Callable[[], Money | None]
) -> Checked:
    """Keep of a request in which nothing is wrong what its job needs."""
    return Checked(
        kind=kind.name,
        priority=submission.priority or kind.default_priority,
        reference=submission.reference,
        webhook=submission.webhook,
        deadline=submission.deadline,
        estimated_s=estimated_s,
        amount=amount,
        needs=kind.needed(submission.payload),
    )


def below(base: str, findings: Sequence[Finding]) -> list[Finding]:
    """Place findings about a payload in its request."""
    return [Finding(one.code, base + one.field, one.message, one.remedy) for one in findings[:MOST_FINDINGS]]


def refuse_nul(body: bytes | memoryview) -> None:
    """Refuse the character U+0000, which the ledger's text cannot hold."""
    if b"\\u0000" in bytes(body) and _NUL.search(body):
        raise Problem(
            "bad_input",
            "The body holds the character U+0000, which cannot be stored.",
            field="",
            remedy="Remove it.",
        )


@dataclass(frozen=True)
class Rulings:
    """What is asked about every request, handed in from above."""

    place: Placement
    agreed: Agreed = as_usual
    holding: Holding = unheld


def new_job(checked: Checked, origin: Origin, kind: JobKind, rulings: Rulings, body: bytes) -> NewJob:
    """Make a checked request into a job to be accepted.

    What is looked at by a person first is promised for the time after that is due.
    """
    placed = rulings.place(checked.kind, origin.customer_id, checked.estimated_s, checked.priority)
    agreed = rulings.agreed(kind, origin.customer_id, placed.size)
    terms = rulings.holding(kind, origin.customer_id, checked.estimated_s, checked.amount)
    promise, due = _promised(agreed, terms)
    return NewJob(
        id=new_id(),
        customer_id=origin.customer_id,
        key_id=origin.key_id,
        kind=checked.kind,
        reference=checked.reference,
        priority=checked.priority,
        size=placed.size,
        predicted_s=placed.predicted_s,
        estimated_s=checked.estimated_s,
        order_delay=placed.order_delay,
        promise=promise,
        deadline=checked.deadline,
        webhook=checked.webhook,
        body=body,
        idempotency_key=origin.idempotency_key,
        body_hash=origin.body_hash,
        promise_due=due,
        worth=checked.amount(),
        needs=checked.needs,
        agreed=agreed,
        terms=terms,
    )


def _promised(promise: Promise, terms: Terms) -> tuple[timedelta, datetime | None]:
    """Give how long from now a promise is due, and when, where that is no matter of the ledger's clock alone."""
    reviewed = terms.review.rule.within if terms.review else timedelta(0)
    if isinstance(promise, timedelta):
        return reviewed + promise, None
    at = now()
    due = due_of(at + reviewed, span_of(promise), calendar_of(promise))
    return due - at, due
