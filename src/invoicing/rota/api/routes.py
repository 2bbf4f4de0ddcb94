"""The routes of the rota, described."""

from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.rota.api.office import CALENDAR, MOST_WEEKS, USUAL_WEEKS, Roster
from invoicing.rota.api.schemas import (
    DutyOverrideBody,
    DutyOverrideForm,
    GapList,
    ImportBody,
    NowBody,
    RotaBody,
    RotaForm,
)

TAG = "rota"

_WEEKS = Parameter(
    "query",
    "weeks",
    "How far to look ahead.",
    {"type": "integer", "minimum": 1, "maximum": MOST_WEEKS, "default": USUAL_WEEKS},
)
_AT = Parameter("query", "at", "A time in RFC 3339; left out: now.", {"type": "string", "format": "date-time"})
_DRY_RUN = Parameter("query", "dry_run", "`true`: only say what it would make.", {"type": "boolean", "default": False})
_LEVEL = Parameter(
    "query", "level", "Of events that name none.", {"type": "integer", "minimum": 1, "maximum": 10, "default": 1}
)
_REASON = Parameter("query", "reason", "Why; goes on the audit.", {"type": "string", "maxLength": 200})
_OVERRIDE = Parameter("path", "override_id", "The override's id.", {"type": "string", "format": "uuid"})
_KEY = Parameter(
    "header",
    "Idempotency-Key",
    "The same one again when a request is repeated.",
    {"type": "string", "pattern": "^[!-~]{1,255}$", "minLength": 1, "maxLength": 255},
)
_TEXT = {"type": "string"}


def add_rota(router: Router, roster: Roster) -> None:
    """Add the routes."""
    _add_rota(router, roster)
    _add_asking(router, roster)
    _add_overrides(router, roster)
    _add_calendar(router, roster)


def _add_rota(router: Router, roster: Roster) -> None:
    router.operation(
        "GET",
        "/v1/rota",
        roster.read,
        name="getRota",
        summary="See who is on call when (ops)",
        tag=TAG,
        answers={200: Given("The rota, with overrides that are not over.", {"application/json": RotaBody})},
    )
    router.operation(
        "PUT",
        "/v1/rota",
        roster.write,
        name="putRota",
        summary="Write who is on call when (ops)",
        text="The whole rota, in force at once; overrides stay. Claiming `24/7` is refused with the first time of the "
        "next year that nobody covers. The same once more changes nothing. Goes on the audit with what was before.",
        tag=TAG,
        body=RotaForm,
        answers={200: Given("The rota.", {"application/json": RotaBody})},
        problems=[400, 408, 413, 415, 422],
    )


def _add_asking(router: Router, roster: Roster) -> None:
    router.operation(
        "GET",
        "/v1/rota/now",
        roster.now,
        name="getOnDuty",
        summary="See who is on duty, and who would be told when (ops)",
        tag=TAG,
        parameters=[_AT],
        answers={200: Given("Who is on duty.", {"application/json": NowBody})},
        problems=[400],
    )
    router.operation(
        "GET",
        "/v1/rota/gaps",
        roster.gaps,
        name="listGaps",
        summary="List the hours to come that nobody covers (ops)",
        tag=TAG,
        parameters=[_WEEKS],
        answers={200: Given("The gaps.", {"application/json": GapList})},
        problems=[400],
    )


def _add_overrides(router: Router, roster: Roster) -> None:
    router.operation(
        "POST",
        "/v1/rota/overrides",
        roster.override,
        name="addOverride",
        summary="Put somebody on duty for another, or beside (ops)",
        text="A request that may be sent twice has an `Idempotency-Key`. Goes on the audit.",
        tag=TAG,
        parameters=[_KEY],
        body=DutyOverrideForm,
        answers={
            201: Given(
                "The override.",
                {"application/json": DutyOverrideBody},
                {"Idempotency-Replayed": "`true`: an earlier request with the same key had made it."},
            )
        },
        problems=[400, 408, 409, 413, 415, 422],
    )
    router.operation(
        "DELETE",
        "/v1/rota/overrides/{override_id}",
        roster.remove,
        name="removeOverride",
        summary="Take an override back (ops)",
        text="Refused where the rota claims `24/7` and that would no longer be so. Goes on the audit.",
        tag=TAG,
        parameters=[_OVERRIDE],
        answers={204: Given("It is gone.")},
        problems=[404, 422],
    )


def _add_calendar(router: Router, roster: Roster) -> None:
    router.operation(
        "GET",
        "/v1/rota.ics",
        roster.export,
        name="exportRota",
        summary="Fetch who is on call as a calendar (ops)",
        tag=TAG,
        parameters=[_WEEKS],
        answers={
            200: Given("iCalendar (RFC 5545).", {CALENDAR: _TEXT}, {"Content-Disposition": "A name to save it under."})
        },
        problems=[400],
    )
    router.operation(
        "POST",
        "/v1/rota.ics",
        roster.import_calendar,
        name="importRota",
        summary="Take over duties from a calendar (ops)",
        text="In place of those imported before that are not over. Recurring events are read for 400 days. Events that "
        "name nobody of the rota, or say what is not understood, are left out and named. Goes on the audit.",
        tag=TAG,
        parameters=[_DRY_RUN, _LEVEL, _REASON],
        body={"required": True, "content": {CALENDAR: {"schema": _TEXT}}},
        answers={200: Given("What was read.", {"application/json": ImportBody})},
        problems=[400, 408, 413, 415, 422],
    )
