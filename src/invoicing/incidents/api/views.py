"""Incidents as our staff see them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from invoicing.diagnosis.words import Audience
from invoicing.incidents.model.course import resolves_at
from invoicing.incidents.model.incident import Blast, Entry, Incident
from invoicing.incidents.on_call import Callees
from invoicing.incidents.service import Member, Seen
from invoicing.incidents.words import runbooks, title


def incident_view(incident: Incident, language: str) -> dict[str, Any]:
    """Give every field of an incident."""
    return {
        "id": incident.id,
        "cause": incident.cause,
        "scope": incident.scope,
        "title": title(incident, language, Audience.STAFF),
        "state": incident.state,
        "severity": incident.severity,
        "since": _utc(incident.since),
        "opened_at": _utc(incident.opened_at),
        "quiet_since": _utc(incident.quiet_since),
        "resolves_at": _utc(resolves_at(incident)),
        "acknowledged": _by(incident.acknowledged_at, incident.acknowledged_by),
        "assignee": incident.assignee,
        "estimate": _by(incident.estimate, incident.estimate_by),
        "resolved": _by(incident.resolved_at, incident.resolved_by),
        "reopenings": incident.reopenings,
        "merged_into": incident.merged_into,
        "blast": _blast(incident.blast),
        "evidence": incident.evidence,
        "revision": incident.revision,
    }


def detail_view(seen: Seen, members: Sequence[Member], more: str | None, language: str) -> dict[str, Any]:
    """Give an incident with all that belongs to it."""
    return {
        **incident_view(seen.incident, language),
        "members": {"items": [_member(one) for one in members], "next_page_token": more},
        "timeline": [_entry(one) for one in seen.timeline],
        "runbook": runbooks()[seen.incident.cause],
        "escalation": _escalation(seen.callees),
    }


def _escalation(callees: Callees) -> dict[str, Any]:
    upcoming = callees.next
    return {
        "called": [
            {"person": one.person, "name": one.name, "level": one.level, "at": _utc(one.at)} for one in callees.called
        ],
        "next": upcoming
        and {"at": _utc(upcoming.at), "people": [{"person": one.id, "name": one.name} for one in upcoming.people]},
    }


def _blast(blast: Blast) -> dict[str, Any]:
    return {
        "jobs": blast.jobs,
        "customers": blast.customers,
        "promises_at_risk": blast.promises_at_risk,
        "promises_missed": blast.promises_missed,
        "oldest": _utc(blast.oldest),
        "at_least": blast.at_least,
        "money": {currency: f"{blast.money[currency]:f}" for currency in sorted(blast.money)},
        "money_at_least": blast.money_at_least,
    }


def _member(member: Member) -> dict[str, Any]:
    return {
        "id": member.job_id,
        "customer": member.customer,
        "kind": member.kind,
        "reference": member.reference,
        "lane": member.lane,
        "state": member.state,
        "submitted_at": _utc(member.submitted_at),
        "promise_due": _utc(member.promise_due),
        "promise_status": member.promise_status,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    change = entry.change
    told = {"change": change.kind, "by": change.by, "text": change.text, "data": change.data}
    return {"seq": entry.seq, "at": _utc(entry.at), **told}


def _by(at: datetime | None, by: str | None) -> dict[str, Any] | None:
    return None if at is None else {"at": _utc(at), "by": by}


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
