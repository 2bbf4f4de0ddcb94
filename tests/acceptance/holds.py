"""Scenes of the story in which a job is held: a person looks at it first, or its customer's quota is used up."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from workers.kinds.invoice_issue import EXAMPLE

if TYPE_CHECKING:
    from .asking import Customer

Answered = Callable[..., str]
"""Holds an answer against the customer's three questions, and what else it must say."""

SMALL: Mapping[str, Any] = {"seconds": 0.2}
BOARD = "the billing board"
REVIEWED: Mapping[str, Any] = {
    "kind": "invoice.issue", "amount": "10000", "currency": "CNY", "owner": BOARD, "within_hours": 4,
}  # fmt: skip
LONGEST_S = 60.0


def reviewed(customer: "Customer", answered: Answered) -> None:
    """Have large invoices looked at first: one is released, one is rejected, and a small one passes."""
    with ruled(customer, "reviews", REVIEWED, {"within_hours": None}):
        large = first_of(customer, lambda: order(customer, "12000.00"), "in_review")
        small, refused = order(customer, "300.00"), order(customer, "15000.00")
        assert customer.ended(small, "succeeded")["attempt"] == 1
        job = customer.job(large)
        assert (job["state"], job["cause"]["evidence"]["overdue"]) == ("in_review", False)
        hours = datetime.fromisoformat(job["cause"]["evidence"]["due_at"]) - datetime.fromisoformat(job["submitted_at"])
        assert hours == timedelta(hours=4)
        said = ("is in review", "14,280.00 CNY is above 10,000 CNY", "That is decided by", "Our reviewers decide")
        assert BOARD not in answered(customer, job, *said)
        decide(customer, large, "release", {})
        assert customer.ended(large, "succeeded")["result"]["payable"] == "14280.00"
        decide(customer, refused, "reject", {"message": "Nobody ordered this."})
        assert customer.ended(refused, "dead")["error"]["message"] == "Nobody ordered this."
        told = customer.why(refused)
        assert "Error: Nobody ordered this. [review_rejected]" in told
        assert "You: submit a new job" in told


def beyond_the_quota(customer: "Customer", answered: Answered) -> None:
    """Have a quota used up, and raised."""
    slug = customer.job(customer.asked[0])["customer"]
    quota = {"customer": slug, "kind": "drill", "most": 2, "period": "month", "zone": "Asia/Shanghai"}
    with ruled(customer, "quotas", quota, {"most": None}):
        held = first_of(customer, lambda: customer.submit(SMALL), "awaiting_quota")
        job = customer.job(held)
        resets_at = datetime.fromisoformat(job["cause"]["evidence"]["resets_at"])
        assert datetime.fromisoformat(job["promise"]["due"]) > resets_at
        said = ("is queued", "Your monthly quota of 2 is used up", f"{resets_at:%Y-%m-%d %H:%M}", "larger quota")
        answered(customer, job, *said)
        set_rule(customer, "quotas", {**quota, "most": 3})
        assert customer.ended(held, "succeeded")["attempt"] == 1


@contextmanager
def ruled(customer: "Customer", what: str, rule: Mapping[str, Any], end: Mapping[str, Any]) -> Iterator[None]:
    """Have a rule hold jobs while the block runs."""
    set_rule(customer, what, rule)
    try:
        yield
    finally:
        set_rule(customer, what, {**rule, **end})


def first_of(customer: "Customer", submit: Callable[[], str], code: str) -> str:
    """Submit until a job is held: a rule is in force within seconds."""
    ends = time.monotonic() + LONGEST_S
    while time.monotonic() < ends:
        job_id = submit()
        cause = customer.job(job_id)["cause"]
        if cause and cause["code"] == code:
            return job_id
        customer.becomes(job_id, lambda job: job["state"] == "succeeded" or job["cause"]["code"] == code)
    raise AssertionError(f"nothing is held as {code}")


def decide(customer: "Customer", job_id: str, verb: str, more: Mapping[str, Any]) -> None:
    body = {"reason": "The buyer was called.", **more}
    for query in ({"dry_run": "true"}, {}):
        answer = customer.staff["support"].post(f"/v1/support/jobs/{job_id}:{verb}", json=body, params=query)
        assert answer.json()["before"]["state"] == "in_review", answer.text


def order(customer: "Customer", net: str) -> str:
    """Have an invoice over so many yuan issued, to which VAT comes."""
    line = {**EXAMPLE["lines"][0], "quantity": "1", "price": net, "allowances": []}
    payload = {**EXAMPLE, "currency": "CNY", "lines": [line], "expected": None}
    return customer.submit(payload, "invoice.issue")


def set_rule(customer: "Customer", what: str, rule: Mapping[str, Any]) -> None:
    """Have an admin set a rule."""
    customer.staff["admin"].post(f"/v1/admin/{what}", json={"reason": "a rehearsal", **rule}).raise_for_status()
