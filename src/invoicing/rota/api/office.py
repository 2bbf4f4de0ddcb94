"""Where ops see and write the rota."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, timedelta
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Role
from invoicing.kit.clock import now
from invoicing.kit.db import transaction
from invoicing.kit.http.answers import answer
from invoicing.kit.http.bodies import expect, received
from invoicing.kit.http.forms import form
from invoicing.kit.http.headers import idempotency_key
from invoicing.kit.http.queries import query_flag, query_text, query_time, query_whole, wrong
from invoicing.kit.ids import new_id
from invoicing.kit.problems import Problem
from invoicing.rota import ical, service
from invoicing.rota.api.schemas import DutyOverrideForm, RotaForm
from invoicing.rota.api.views import gaps_view, now_view, override_view, rota_view
from invoicing.rota.model import Override, gaps

CALENDAR = "text/calendar"

USUAL_WEEKS, MOST_WEEKS = 8, 53

_LARGEST_CALENDAR = 1024 * 1024
_MOST_SKIPPED = 100


@dataclass(frozen=True)
class Roster:
    """Shows the rota to ops and lets them change it."""

    gate: Gate
    engine: AsyncEngine

    async def read(self, request: Request) -> Response:
        """Answer `GET /v1/rota`."""
        await self.gate.staff(request, Role.OPS)
        return answer(rota_view(await self._standing()))

    async def write(self, request: Request) -> Response:
        """Answer `PUT /v1/rota`."""
        principal = await self.gate.staff(request, Role.OPS)
        asked = await form(request, RotaForm)
        async with transaction(self.engine) as session:
            written = await service.put(session, principal, asked.rota(), asked.reason, now())
        return answer(rota_view(written))

    async def now(self, request: Request) -> Response:
        """Answer `GET /v1/rota/now`."""
        await self.gate.staff(request, Role.OPS)
        at = query_time(request, "at") or now()
        async with self.engine.connect() as session:
            found = await service.standing(session, at)
        return answer(await asyncio.to_thread(now_view, found.rota, at))

    async def gaps(self, request: Request) -> Response:
        """Answer `GET /v1/rota/gaps`."""
        await self.gate.staff(request, Role.OPS)
        begins = now()
        ends = begins + timedelta(weeks=_weeks(request))
        found = await asyncio.to_thread(gaps, (await self._standing()).rota, begins, ends)
        return answer(gaps_view(found, begins, ends))

    async def override(self, request: Request) -> Response:
        """Answer `POST /v1/rota/overrides`."""
        principal = await self.gate.staff(request, Role.OPS)
        sent = request.headers.get("idempotency-key")
        key = None if sent is None else idempotency_key(sent)
        asked = await form(request, DutyOverrideForm)
        times = asked.begins.astimezone(UTC), asked.ends.astimezone(UTC)
        wished = Override(new_id(), *times, asked.person, asked.replaces, asked.level)
        async with transaction(self.engine) as session:
            made, replayed = await service.override(session, principal, wished, asked.reason, now(), key)
        return answer(override_view(made), 201, {"Idempotency-Replayed": "true"} if replayed else {})

    async def remove(self, request: Request) -> Response:
        """Answer `DELETE /v1/rota/overrides/{override_id}`."""
        principal = await self.gate.staff(request, Role.OPS)
        try:
            override_id = UUID(request.path_params["override_id"])
        except ValueError:
            remedy = "GET /v1/rota lists them."
            raise Problem("not_found", "There is no such override.", remedy=remedy) from None
        async with transaction(self.engine) as session:
            await service.remove(session, principal, override_id, now())
        return Response(status_code=204)

    async def export(self, request: Request) -> Response:
        """Answer `GET /v1/rota.ics`."""
        await self.gate.staff(request, Role.OPS, media_types=(CALENDAR,))
        begins = now()
        ends = begins + timedelta(weeks=_weeks(request))
        text = await asyncio.to_thread(ical.written, (await self._standing()).rota, begins, ends, begins)
        return Response(text, headers={"Content-Disposition": 'attachment; filename="rota.ics"'}, media_type=CALENDAR)

    async def import_calendar(self, request: Request) -> Response:
        """Answer `POST /v1/rota.ics`."""
        principal = await self.gate.staff(request, Role.OPS)
        preview, level = query_flag(request, "dry_run"), query_whole(request, "level")
        reason = query_text(request, "reason") or "imported"
        if level is not None and not 1 <= level <= 10:
            raise wrong("level", "level must be 1 to 10.", "Correct it, or leave it out.")
        expect(request, CALENDAR)
        async with received(request, _LARGEST_CALENDAR) as body:
            text = body.whole if body.file is None else await asyncio.to_thread(body.file.read_bytes)
            async with self.engine.connect() as session:
                made = await service.import_calendar(session, principal, text, level or 1, reason, now())
                await (session.rollback() if preview else session.commit())
        told = {"duties": made.duties, "replaced": made.replaced, "until": made.until}
        return answer({"dry_run": preview, **told, "skipped": list(made.skipped)[:_MOST_SKIPPED]})

    async def _standing(self) -> service.Standing:
        async with self.engine.connect() as session:
            return await service.standing(session, now())


def _weeks(request: Request) -> int:
    weeks = query_whole(request, "weeks")
    if weeks is not None and not 1 <= weeks <= MOST_WEEKS:
        raise wrong("weeks", f"weeks must be 1 to {MOST_WEEKS}.", "Correct it, or leave it out.")
    return USUAL_WEEKS if weeks is None else weeks
