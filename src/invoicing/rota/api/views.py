"""The rota as it is answered."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from invoicing.rota.model import MISSING, Gap, Override, Person, Post, Rota, escalation, spans
from invoicing.rota.service import Standing

_FORESEEN = timedelta(days=14)
_HOUR = timedelta(hours=1)
_MOST_GAPS = 500


def rota_view(standing: Standing) -> Mapping[str, Any]:
    """Give every field of the rota."""
    version = standing.version
    return {
        "version": version.number if version else 0,
        **standing.rota.as_json(),
        "overrides": [override_view(one) for one in standing.rota.overrides],
        "by": version and version.by,
        "reason": version and version.reason,
        "at": version and version.at.astimezone(UTC),
    }


def override_view(one: Override) -> Mapping[str, Any]:
    """Give every field of an override."""
    return {
        "id": one.id,
        "from": one.begins.astimezone(UTC),
        "until": one.ends.astimezone(UTC),
        "person": one.person,
        "replaces": one.replaces,
        "level": one.level,
        "imported": one.uid is not None,
    }


def now_view(rota: Rota, at: datetime) -> Mapping[str, Any]:
    """Say who is on duty, who would be told when, and what is wrong with that."""
    present, *later = spans(rota, at, at + _FORESEEN)
    calls = [(step.after, escalation(rota, at, at + step.after)) for step in rota.steps]
    findings = escalation(rota, at, at).findings
    return {
        "at": at.astimezone(UTC),
        "on_duty": _posts(rota, present.posts),
        "calls": [
            {"after_minutes": after / timedelta(minutes=1), "people": [_person(one) for one in found.people]}
            for after, found in calls
        ],
        "findings": [_finding(code) for code in findings],
        "next": {"at": later[0].begins, "on_duty": _posts(rota, later[0].posts)} if later else None,
    }


def _finding(code: str) -> Mapping[str, str]:
    messages = {MISSING: "Nobody is on duty: whatever happens now, nobody is called."}
    return {"code": code, "severity": "S1", "message": messages[code]}


def _posts(rota: Rota, posts: Sequence[Post]) -> list[Mapping[str, Any]]:
    return [{"level": post.level, "person": _person(rota.person(post.person))} for post in posts]


def _person(one: Person) -> Mapping[str, Any]:
    return {"id": one.id, "name": one.name, "mail": one.mail, "pagerduty": one.pagerduty}


def gaps_view(found: Sequence[Gap], begins: datetime, ends: datetime) -> Mapping[str, Any]:
    """List the times that nobody covers, with their sum."""
    hours = sum((gap.ends - gap.begins for gap in found), timedelta(0)) / _HOUR
    items = [{"from": gap.begins, "until": gap.ends, "hours": _hours(gap)} for gap in found[:_MOST_GAPS]]
    return {
        "from": begins.astimezone(UTC),
        "until": ends.astimezone(UTC),
        "hours": round(hours, 2),
        "covered": 1 - hours / ((ends - begins) / _HOUR),
        "items": items,
        "next_page_token": None,
    }


def _hours(gap: Gap) -> float:
    return round((gap.ends - gap.begins) / _HOUR, 2)
