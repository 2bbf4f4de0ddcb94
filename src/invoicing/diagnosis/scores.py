"""Statements about ends that were foreseen, what came of them, and how that adds up by the day."""

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import text

from invoicing.diagnosis.model.calibration import Came, Class, Said, Tally
from invoicing.diagnosis.model.margins import LAST, Case, Of, Stage
from invoicing.jobs.model import Size
from invoicing.kit.db import Session

_KEPT_FOR = timedelta(days=3 * 366)

_ONE_AT_A_TIME = text("SELECT pg_try_advisory_xact_lock(hashtext('invoicing.foreseen'))")

_CASES = text("""
SELECT size, stage, point_s, passed_s IS NOT NULL AS ended,
    coalesce(passed_s, extract(epoch FROM now() - made_at)::float8) AS passed_s FROM foreseen
""")

# What ended otherwise than well says nothing about how long such jobs take; nor does the time that a job took which
# another worker had to take over say how long it was worked on.
_SCORE = text("""
WITH known AS (
    SELECT f.job_id, j.state, j.finished_at, extract(epoch FROM j.finished_at - f.made_at)::float8 AS passed_s
    FROM foreseen f JOIN jobs j ON j.id = f.job_id WHERE f.passed_s IS NULL AND j.finished_at IS NOT NULL
), ill AS (
    DELETE FROM foreseen f USING known k WHERE f.job_id = k.job_id AND k.state <> 'succeeded'
), scored AS (
    UPDATE foreseen f SET passed_s = greatest(0, k.passed_s) FROM known k
    WHERE f.job_id = k.job_id AND k.state = 'succeeded'
    RETURNING f.*, k.finished_at
)
SELECT (s.finished_at AT TIME ZONE 'UTC')::date AS day, s.kind, s.size, s.stage, s.earliest_s, s.likely_s, s.latest_s,
    s.naive_s, s.slow_after_s, s.passed_s, w.worked_s
FROM scored s LEFT JOIN LATERAL (
    SELECT sum(extract(epoch FROM ended_at - started_at))::float8 AS worked_s FROM attempts
    WHERE job_id = s.job_id HAVING bool_and(outcome IN ('succeeded', 'interrupted'))
) w ON true
""")

# Of those that go on a fixed draw is kept, however old they are: were the newest kept, a long backlog would have only
# quick ends scored.
_FORGET = text("""
DELETE FROM foreseen WHERE job_id IN (
    SELECT job_id FROM (
        SELECT job_id, row_number() OVER (
            PARTITION BY size, stage, passed_s IS NULL
            ORDER BY CASE WHEN passed_s IS NULL THEN hashtext(job_id::text) END, made_at DESC, job_id
        ) AS place FROM foreseen
    ) f WHERE place > :most
)
""")

_FORESEE = text("""
INSERT INTO foreseen (
    job_id, kind, size, stage, point_s, earliest_s, likely_s, latest_s, naive_s, slow_after_s
)
SELECT * FROM unnest(
    CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:sizes AS text[]), CAST(:stages AS text[]),
    CAST(:points AS float8[]), CAST(:earliest AS float8[]), CAST(:likely AS float8[]), CAST(:latest AS float8[]),
    CAST(:naive AS float8[]), CAST(:slow AS float8[])
)
ON CONFLICT DO NOTHING
""")

_TALLIES_OF = text("""
SELECT calibration.* FROM calibration JOIN unnest(
    CAST(:days AS date[]), CAST(:kinds AS text[]), CAST(:sizes AS text[]), CAST(:stages AS text[])
) AS asked(day, kind, size, stage) USING (day, kind, size, stage)
""")

_WRITE_TALLIES = text("""
INSERT INTO calibration (
    day, kind, size, stage, scored, ranged, early, late, bounded, slow, errors, naive_errors
)
SELECT * FROM unnest(
    CAST(:days AS date[]), CAST(:kinds AS text[]), CAST(:sizes AS text[]), CAST(:stages AS text[]),
    CAST(:scored AS bigint[]), CAST(:ranged AS bigint[]), CAST(:early AS bigint[]), CAST(:late AS bigint[]),
    CAST(:bounded AS bigint[]), CAST(:slow AS bigint[]), CAST(CAST(:errors AS text[]) AS jsonb[]),
    CAST(CAST(:naive_errors AS text[]) AS jsonb[])
)
ON CONFLICT (day, kind, size, stage) DO UPDATE SET scored = excluded.scored, ranged = excluded.ranged,
    early = excluded.early, late = excluded.late, bounded = excluded.bounded, slow = excluded.slow,
    errors = excluded.errors, naive_errors = excluded.naive_errors
""")

_TALLIES = text("""
SELECT * FROM calibration
WHERE day BETWEEN :first AND :last AND (CAST(:kind AS text) IS NULL OR kind = :kind)
  AND (CAST(:size AS text) IS NULL OR size = :size) AND (CAST(:stage AS text) IS NULL OR stage = :stage)
ORDER BY day DESC, kind, size, stage
""")

_GOING_ON = text("""
SELECT count(*) AS going_on, count(*) FILTER (WHERE now() > made_at + latest_s * interval '1 second') AS overdue
FROM foreseen WHERE passed_s IS NULL AND (CAST(:kind AS text) IS NULL OR kind = :kind)
  AND (CAST(:size AS text) IS NULL OR size = :size) AND (CAST(:stage AS text) IS NULL OR stage = :stage)
""")

_FORGET_DAYS = text("DELETE FROM calibration WHERE day < now() - CAST(:kept AS interval)")

_COUNTS = ("scored", "ranged", "early", "late", "bounded", "slow")


class Foretold(NamedTuple):
    """An end that was foreseen: of which class, the point that experience puts right, and what was said."""

    kind: str
    of: Of
    point_s: float
    said: Said


class GoingOn(NamedTuple):
    """How many foreseen jobs go on, and how many of them longer than the latest end that they were told."""

    going_on: int
    overdue: int


async def alone(session: Session) -> bool:
    """Take the right to foresee until the end of the transaction; False when another has it."""
    return bool(await session.scalar(_ONE_AT_A_TIME))


async def cases(session: Session) -> dict[Of, list[Case]]:
    """Read the ends that were foreseen lately, by class and stage; a few thousand however many jobs there are."""
    found: dict[Of, list[Case]] = {}
    for row in await session.execute(_CASES):
        of = (Size(row.size), Stage(row.stage))
        found.setdefault(of, []).append(Case(row.point_s, row.passed_s, ended=row.ended))
    return found


async def score(session: Session) -> list[tuple[Class, Came]]:
    """Note what came of the ends that were foreseen, give it, and keep the newest of each class and stage."""
    rows = (await session.execute(_SCORE)).all()
    await session.execute(_FORGET, {"most": LAST})
    return [
        (
            Class(row.day, row.kind, Size(row.size), Stage(row.stage)),
            Came(
                Said(row.likely_s, row.earliest_s, row.latest_s, row.naive_s, row.slow_after_s),
                row.passed_s,
                row.worked_s,
            ),
        )
        for row in rows
    ]


async def keep(session: Session, foretold: Mapping[UUID, Foretold]) -> None:
    """Keep ends that were foreseen (seconds from now), the first of each job."""
    ends = list(foretold.values())
    await session.execute(
        _FORESEE,
        {
            "ids": list(foretold),
            "kinds": [one.kind for one in ends],
            "sizes": [one.of[0] for one in ends],
            "stages": [one.of[1] for one in ends],
            "points": [one.point_s for one in ends],
            "earliest": [one.said.earliest_s for one in ends],
            "likely": [one.said.likely_s for one in ends],
            "latest": [one.said.latest_s for one in ends],
            "naive": [one.said.naive_s for one in ends],
            "slow": [one.said.slow_after_s for one in ends],
        },
    )


async def add(session: Session, tallies: Mapping[Class, Tally]) -> None:
    """Add to what is kept of days; nobody else may do so meanwhile (see `alone`)."""
    if not tallies:
        return
    keys = list(tallies)
    for row in (await session.execute(_TALLIES_OF, _names(keys))).all():
        tallies[_class(row)].add(_tally(row))
    sums = list(tallies.values())
    counts = {name: [getattr(one, name) for one in sums] for name in _COUNTS}
    errors = {
        "errors": [to_json(one.errors).decode() for one in sums],
        "naive_errors": [to_json(one.naive_errors).decode() for one in sums],
    }
    await session.execute(_WRITE_TALLIES, {**_names(keys), **counts, **errors})


async def tallies(
    session: Session, first: date, last: date, *, kind: str | None, size: str | None, stage: str | None
) -> list[tuple[Class, Tally]]:
    """Read what is kept of days, the last first; of one kind, class or stage where it is named."""
    asked = {"first": first, "last": last, "kind": kind, "size": size, "stage": stage}
    return [(_class(row), _tally(row)) for row in await session.execute(_TALLIES, asked)]


async def going_on(session: Session, *, kind: str | None, size: str | None, stage: str | None) -> GoingOn:
    """Count the foreseen jobs that go on."""
    row = (await session.execute(_GOING_ON, {"kind": kind, "size": size, "stage": stage})).one()
    return GoingOn(row.going_on, row.overdue)


async def forget_days(session: Session) -> None:
    """Remove what is kept of days three years ago."""
    await session.execute(_FORGET_DAYS, {"kept": _KEPT_FOR})


def _names(keys: Collection[Class]) -> dict[str, list[date] | list[str]]:
    return {
        "days": [key.day for key in keys],
        "kinds": [key.kind for key in keys],
        "sizes": [str(key.size) for key in keys],
        "stages": [str(key.stage) for key in keys],
    }


def _class(row: Any) -> Class:  # noqa: ANN401 - the driver's row
    return Class(row.day, row.kind, Size(row.size), Stage(row.stage))


def _tally(row: Any) -> Tally:  # noqa: ANN401 - the driver's row
    return Tally(
        **{name: getattr(row, name) for name in _COUNTS},
        errors=_steps(row.errors),
        naive_errors=_steps(row.naive_errors),
    )


def _steps(counted: Mapping[str, int]) -> dict[int, int]:
    return {int(step): count for step, count in counted.items()}
