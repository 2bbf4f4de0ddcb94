"""The rota written, overridden, imported and asked: a claim that hours refute is never taken in."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from invoicing.customers import service as customers
from invoicing.customers.model import Principal
from invoicing.kit.clock import rfc3339
from invoicing.kit.db import Session
from invoicing.kit.ids import new_id
from invoicing.kit.problems import Problem
from invoicing.rota import ical, store
from invoicing.rota.ical import IcalError
from invoicing.rota.model import CLAIM, NOBODY, Gap, Override, Rota, faults_of, first_gap_of_claim
from invoicing.rota.store import Version

MOST_OVERRIDES = 6_000

_TARGET = "rota"
_PAST = timedelta(days=1)
"""Overrides that ended so long ago are not read any more."""

_LONGEST = timedelta(days=366)


@dataclass(frozen=True)
class Standing:
    """The rota in force with its overrides; `version` None: nobody has written one."""

    version: Version | None
    rota: Rota


@dataclass(frozen=True)
class Imported:
    """What an import made: duties, those before it that it replaced, and events that were left out, with the reason."""

    duties: int
    replaced: int
    until: datetime | None
    skipped: Sequence[str]


async def standing(session: Session, at: datetime) -> Standing:
    """Read the rota, with the overrides that matter from a moment on."""
    version = await store.latest(session)
    overrides = await store.overrides(session, at - _PAST)
    if version is None:
        return Standing(None, replace(NOBODY, overrides=overrides))
    return Standing(version, Rota.of_json(version.document, overrides))


async def put(session: Session, principal: Principal, rota: Rota, reason: str, now: datetime) -> Standing:
    """Write the rota anew, on the audit with what was before; the same once more changes nothing.

    Raises `Problem` with everything that makes no sense, and where hours refute what it claims.
    """
    await store.hold(session)
    before = await standing(session, now)
    rota = replace(rota, overrides=before.rota.overrides)
    _refuse_faults(rota)
    await _refuse_claim(rota, now, "/claims")
    document = rota.as_json()
    if before.version is not None and replace(before.rota, overrides=()).as_json() == document:
        return before
    number = before.version.number + 1 if before.version else 1
    await store.write(session, number, document, _by(principal), reason)
    data = {"version": number, "from": before.version and before.version.document, "to": document}
    await customers.audit(session, principal, "rota.written", _TARGET, reason, data)
    return await standing(session, now)


def _refuse_faults(rota: Rota) -> None:
    found = faults_of(rota)
    if found:
        first = found[0]
        detail = f"{first.field}: {first.message}"
        raise Problem("bad_input", detail, field=first.field, remedy=first.remedy, findings=found)


async def _refuse_claim(rota: Rota, now: datetime, field: str) -> None:
    """Look in a thread: a year of many shifts takes a moment."""
    gap = await asyncio.to_thread(first_gap_of_claim, rota, now)
    if gap is not None:
        raise Problem(
            "bad_input",
            f"{field}: {CLAIM} is not true: nobody is on duty {_words(gap)}.",
            field=field,
            remedy="Add a shift or an override for that time (and what `invoicing rota lint` lists), or claim nothing.",
        )


def _words(gap: Gap) -> str:
    return f"from {gap.begins:%Y-%m-%d %H:%M} to {gap.ends:%Y-%m-%d %H:%M} UTC"


async def override(
    session: Session, principal: Principal, wished: Override, reason: str, now: datetime, key: str | None = None
) -> tuple[Override, bool]:
    """Put somebody on duty for another, or beside; on the audit. Also tells whether an earlier request had done it.

    Raises `Problem` where its times or people make no sense, or the key was used for something else.
    """
    await store.hold(session)
    found = await standing(session, now)
    earlier = key and await customers.audited_under(session, principal.key_id, _TARGET, key)
    if earlier:
        return replace(wished, id=_same(earlier, wished)), True
    _refuse_override(found.rota, wished, now)
    await store.add(session, [wished], _by(principal), reason)
    data = {"id": str(wished.id), "wish": _plain(wished)} | ({"idempotency_key": key} if key else {})
    await customers.audit(session, principal, "rota.overridden", _TARGET, reason, data)
    return wished, False


def _same(earlier: Mapping[str, Any], wished: Override) -> UUID:
    if earlier["act"] != "rota.overridden" or earlier["data"].get("wish") != _plain(wished):
        raise Problem(
            "idempotency_key_reused",
            "This key was used for another act on the rota.",
            field="/headers/Idempotency-Key",
            remedy="Send a fresh key with each new request.",
        )
    return UUID(earlier["data"]["id"])


def _plain(one: Override) -> Mapping[str, Any]:
    times = {"from": rfc3339(one.begins), "until": rfc3339(one.ends)}
    return {**times, "person": one.person, "replaces": one.replaces, "level": one.level}


def _refuse_override(rota: Rota, wished: Override, now: datetime) -> None:
    names = {one.id for one in rota.people}
    for field, name in (("/person", wished.person), ("/replaces", wished.replaces)):
        if name is not None and name not in names:
            remedy = f"These are: {', '.join(sorted(names)) or 'nobody yet'}."
            raise Problem("bad_input", f"{field}: There is nobody called {name!r}.", field=field, remedy=remedy)
    if wished.person == wished.replaces:
        remedy = "Name somebody else, or nobody."
        raise Problem("bad_input", "/replaces: Nobody replaces themselves.", field="/replaces", remedy=remedy)
    if not max(wished.begins, now) < wished.ends <= wished.begins + _LONGEST:
        remedy = "Give an end that is still to come, and within a year of the beginning."
        raise Problem("bad_input", "/until: It would end before it begins, or never.", field="/until", remedy=remedy)
    if len(rota.overrides) >= MOST_OVERRIDES:
        remedy = "Remove some, or write lasting changes into the shifts."
        raise Problem("conflict", f"There are {MOST_OVERRIDES:,} overrides, as many as may be.", remedy=remedy)


async def remove(session: Session, principal: Principal, override_id: UUID, now: datetime) -> None:
    """Remove an override; raises `Problem` where there is none, or where what the rota claims would be refuted."""
    await store.hold(session)
    found = (await standing(session, now)).rota
    if not await store.remove(session, override_id):
        raise Problem("not_found", "There is no such override.", remedy="GET /v1/rota lists them.")
    left = tuple(one for one in found.overrides if one.id != override_id)
    await _refuse_claim(replace(found, overrides=left), now, "/override")
    await customers.audit(session, principal, "rota.override_removed", _TARGET, None, {"id": str(override_id)})


async def import_calendar(
    session: Session, principal: Principal, text: bytes, level: int, reason: str, now: datetime
) -> Imported:
    """Take over the duties of a calendar in place of those that were imported before; on the audit.

    Raises `Problem` where it cannot be read, says nothing usable, or refutes what the rota claims.
    """
    await store.hold(session)
    found = (await standing(session, now)).rota
    try:
        said = await asyncio.to_thread(ical.read, text, found, now, level)
    except IcalError as error:
        remedy = "Export it anew from your calendar, with fewer or simpler events."
        raise Problem("bad_input", str(error), remedy=remedy) from error
    if not said.duties and said.skipped:
        remedy = "Add people to the rota under the mail addresses or names that the calendar has."
        raise Problem("bad_input", f"No event could be used. {said.skipped[0]}", remedy=remedy)
    replaced = await store.remove_imported(session, now)
    duties = [Override(new_id(), one.begins, one.ends, one.person, None, one.level, one.uid) for one in said.duties]
    await store.add(session, duties, _by(principal), reason)
    kept = tuple(one for one in found.overrides if one.uid is None)
    await _refuse_claim(replace(found, overrides=(*kept, *duties)), now, "/claims")
    until = max((one.ends for one in duties), default=None)
    data = {"duties": len(duties), "replaced": replaced, "skipped": len(said.skipped)}
    await customers.audit(session, principal, "rota.imported", _TARGET, reason, data)
    return Imported(len(duties), replaced, until and until.astimezone(UTC), said.skipped)


def _by(principal: Principal) -> str:
    return f"{principal.role}:{principal.label}"


__all__ = ["Imported", "Standing", "import_calendar", "override", "put", "remove", "standing"]
