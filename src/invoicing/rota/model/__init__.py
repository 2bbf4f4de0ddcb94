"""A rota as values, and the rules over it."""

from invoicing.rota.model.checking import CLAIM, CLAIM_HOLDS_FOR, faults_of, first_gap_of_claim
from invoicing.rota.model.duty import MISSING, Duty, Gap, Post, Span, gaps, next_on_duty, on_duty, posts_at, spans
from invoicing.rota.model.escalation import Escalation, NextCall, called, escalation, next_call
from invoicing.rota.model.people import NOBODY, Holidays, Override, Person, Rota, Shift, Step

__all__ = [
    "CLAIM",
    "CLAIM_HOLDS_FOR",
    "MISSING",
    "NOBODY",
    "Duty",
    "Escalation",
    "Gap",
    "Holidays",
    "NextCall",
    "Override",
    "Person",
    "Post",
    "Rota",
    "Shift",
    "Span",
    "Step",
    "called",
    "escalation",
    "faults_of",
    "first_gap_of_claim",
    "gaps",
    "next_call",
    "next_on_duty",
    "on_duty",
    "posts_at",
    "spans",
]
