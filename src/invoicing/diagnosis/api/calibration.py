"""How well ends are foreseen, over HTTP: do ranges hold as often as they say, and how far off is the likely end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from enum import StrEnum
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Role
from invoicing.diagnosis import foreseeing
from invoicing.diagnosis.model.calibration import Class, Tally, median
from invoicing.diagnosis.model.margins import CONFIDENCE, Stage
from invoicing.jobs.model import Size
from invoicing.kit.clock import now
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.queries import query_text, query_time, wrong

TAG = "calibration"

MOST_DAYS = 92
_USUAL = timedelta(days=6)


class ScoredBy(StrEnum):
    """What scores are told by."""

    CLASS = "class"
    """Size class and stage."""
    KIND = "kind"
    DAY = "day"


class ScoreBody(BaseModel):
    """How well ends were foreseen that came."""

    key: str = Field(description="The class with the stage (`small waiting`), the kind or the day, as `by` says.")
    cases: int = Field(description="Foreseen jobs that ended well.")
    ranged: int = Field(description="Of these, with a range that was called certain.")
    share_held: float | None = Field(description="Of `ranged`, the share that ended inside.")
    early: int = Field(description="Of `ranged`, ended before the earliest time.")
    late: int = Field(description="Of `ranged`, ended after the latest.")
    verdict: str = Field(
        description="`fits`, `too_narrow` or `too_wide` beside `confidence`; `unknown` below 60 cases.",
        pattern="^(fits|too_narrow|too_wide|unknown)$",
    )
    median_error_s: float | None = Field(description="Of the likely end, in seconds (known to 6 %).")
    naive_median_error_s: float | None = Field(description="Of place x mean duration over the slots, of the same jobs.")
    healthy: int = Field(description="Jobs drawn before they began of which it was known when they would be slow.")
    called_slow: int = Field(description="Of these, called slow though they ended well: false flags.")
    share_called_slow: float | None


class CalibrationBody(BaseModel):
    """How well ends were foreseen that came on some days (UTC)."""

    since: date
    until: date = Field(description="The last day.")
    by: ScoredBy
    confidence: float = Field(description="The share of ranges that should hold.")
    total: ScoreBody
    items: list[ScoreBody]
    going_on: int = Field(description="Foreseen jobs that go on now; they are scored when they end.")
    overdue: int = Field(description="Of these, beyond the latest end that they were told.")
    next_page_token: None


@dataclass(frozen=True)
class Examiner:
    """Shows how well ends are foreseen."""

    gate: Gate
    engine: AsyncEngine

    async def get(self, request: Request) -> Response:
        """Answer `GET /v1/calibration`."""
        await self.gate.staff(request, Role.SUPPORT, Role.OPS)
        by, (first, last) = ScoredBy(_one_of(request, "by", ScoredBy) or ScoredBy.CLASS), _days(request)
        of = {
            "kind": query_text(request, "kind"),
            "size": _one_of(request, "size", Size),
            "stage": _one_of(request, "stage", Stage),
        }
        async with self.engine.connect() as session:
            found = await foreseeing.scored(session, first, last, **of)
            open_ = await foreseeing.going_on(session, **of)
        total, sums = Tally(), _sums(found, by)
        for one in sums.values():
            total.add(one)
        said = {"since": first, "until": last, "by": by, "confidence": CONFIDENCE, "total": _view("all", total)}
        items = [_view(key, one) for key, one in sums.items()]
        return answer({**said, "items": items, **open_._asdict(), "next_page_token": None})


def _sums(found: Iterable[tuple[Class, Tally]], by: ScoredBy) -> dict[str, Tally]:
    sums: dict[str, Tally] = {}
    for of, one in sorted(found, key=lambda pair: _order(pair[0])):
        sums.setdefault(_key(of, by), Tally()).add(one)
    return sums


def _order(of: Class) -> tuple[int, int, int, str]:
    return list(Size).index(of.size), list(Stage).index(of.stage), -of.day.toordinal(), of.kind


def _key(of: Class, by: ScoredBy) -> str:
    match by:
        case ScoredBy.CLASS:
            return f"{of.size} {of.stage}"
        case ScoredBy.KIND:
            return of.kind
        case ScoredBy.DAY:
            return of.day.isoformat()


def _view(key: str, one: Tally) -> Mapping[str, Any]:
    return {
        "key": key,
        "cases": one.scored,
        "ranged": one.ranged,
        "share_held": one.share_held,
        "early": one.early,
        "late": one.late,
        "verdict": one.verdict,
        "median_error_s": median(one.errors),
        "naive_median_error_s": median(one.naive_errors),
        "healthy": one.bounded,
        "called_slow": one.slow,
        "share_called_slow": one.share_slow,
    }


def _one_of(request: Request, name: str, known: type[StrEnum]) -> str | None:
    named = query_text(request, name)
    if named is not None and named not in set(known):
        raise wrong(name, f"{name} must be one of {', '.join(known)}.", "Correct it, or leave it out.")
    return named


def _days(request: Request) -> tuple[date, date]:
    until = (query_time(request, "until") or now()).astimezone(UTC)
    since = (query_time(request, "since") or until - _USUAL).astimezone(UTC)
    if since > until:
        raise wrong("since", "since must not lie behind until.", "Correct one of them, or leave it out.")
    if (until.date() - since.date()).days >= MOST_DAYS:
        raise wrong("since", f"since and until span more than {MOST_DAYS} days.", "Ask for a part of it at a time.")
    return since.date(), until.date()


def add_calibration(router: Router, examiner: Examiner) -> None:
    """Add the route."""
    moment = {"type": "string", "format": "date-time"}
    router.operation(
        "GET",
        "/v1/calibration",
        examiner.get,
        name="getCalibration",
        summary="Do ranges hold as often as they say, by class, kind or day (support, ops)",
        text="A sample of all jobs, each foreseen once and scored when it ends, on the day (UTC) of its end; up to the "
        f"last two seconds. Whole days, at most {MOST_DAYS} of them.",
        tag=TAG,
        parameters=[
            Parameter(
                "query", "by", "What to add up by.", {"type": "string", "enum": list(ScoredBy), "default": "class"}
            ),
            Parameter("query", "since", "A moment of the first day; left out: six days before the last.", moment),
            Parameter("query", "until", "A moment of the last day; left out: today.", moment),
            Parameter("query", "kind", "Only of this kind."),
            Parameter("query", "size", "Only of this size class.", {"type": "string", "enum": list(Size)}),
            Parameter("query", "stage", "Only of jobs that stood so then.", {"type": "string", "enum": list(Stage)}),
        ],
        answers={200: Given("The scores.", {"application/json": CalibrationBody})},
        problems=[400],
    )
