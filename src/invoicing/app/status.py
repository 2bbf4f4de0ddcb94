"""`/status`: how the service does, for anybody; a page without scripts, or JSON. The ledger is asked once a second."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import HTMLResponse

from invoicing.app.status_words import WORDS
from invoicing.incidents import public
from invoicing.incidents.public import Disruption, Outlook, Pace, Work
from invoicing.kit.clock import rfc3339
from invoicing.kit.db import is_away
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Router
from invoicing.kit.http.headers import prefers
from invoicing.kit.http.languages import ACCEPT_LANGUAGE, LANGUAGE_HEADERS, Languages, Spoken
from invoicing.maintenance import service as maintenance
from invoicing.maintenance.model import Window

_KEPT_S = 1.0
_MOST_WINDOWS = 20

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "Cache-Control": "public, max-age=1",
}

_STYLE = """
:root { color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 40rem; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .3rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .2rem 1rem; } dd { margin: 0; }
ul { list-style: none; padding: 0; } li { border-top: 1px solid #8886; padding: .5rem 0; } small { display: block; }
"""


class DisruptionBody(BaseModel):
    """A disruption that lasts."""

    title: str
    since: datetime
    estimate: datetime | None = Field(description="When it should be over; null: nobody can say.")


class PastDisruptionBody(BaseModel):
    """A disruption that is over."""

    title: str
    since: datetime
    until: datetime
    duration_s: float


class PlannedWindowBody(BaseModel):
    """Maintenance that is planned, or takes place."""

    from_: datetime = Field(alias="from")
    until: datetime
    reason: str


class StatusBody(BaseModel):
    """How the service does."""

    taking_requests: bool
    observed_at: datetime | None = Field(description="When the work was looked at last.")
    work: dict[Work, Pace] = Field(description="By size; `held_up`: some or all of it is not being started.")
    incidents: list[DisruptionBody]
    maintenance: list[PlannedWindowBody]
    history: list[PastDisruptionBody] = Field(description="Of the last 30 days, the latest first, 50 at most.")


@dataclass(frozen=True)
class Seen:
    """What was read; nothing where the ledger could not be reached."""

    outlook: Outlook | None = None
    windows: Sequence[Window] = ()


@dataclass
class Board:
    """Shows how the service does, to however many ask."""

    engine: AsyncEngine
    languages: Languages
    clock: Callable[[], float] = time.monotonic
    reads: int = 0
    """How often the ledger was asked."""
    _seen: Seen = field(default_factory=Seen, init=False)
    _until: float = field(default=float("-inf"), init=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def status(self, request: Request) -> Response:
        """Answer `GET /status`."""
        spoken = self.languages.asked_for(request.headers.get("accept-language"))
        seen = await self._look()
        headers = {**_HEADERS, **spoken.headers, "Vary": "Accept, Accept-Language"}
        status = 503 if seen.outlook is None else 200
        if status == 503:
            headers["Retry-After"] = "5"
        told = body_of(seen, spoken)
        if prefers(request.headers.get("accept"), "text/html"):
            return HTMLResponse(page(told, spoken), status, headers)
        return answer(told, status, headers)

    async def _look(self) -> Seen:
        async with self._lock:
            if self.clock() >= self._until:
                self._seen = await self._read()
                self._until = self.clock() + _KEPT_S
            return self._seen

    async def _read(self) -> Seen:
        self.reads += 1
        try:
            async with self.engine.connect() as session:
                outlook = await public.outlook(session)
                windows, _ = await maintenance.windows(session)
        except Exception as error:
            if is_away(error):
                return Seen()
            raise
        return Seen(outlook, windows[:_MOST_WINDOWS])


def body_of(seen: Seen, spoken: Spoken) -> dict[str, Any]:
    """Say how the service does, in a language."""
    outlook = seen.outlook
    if outlook is None:
        work = dict.fromkeys(Work, Pace.UNKNOWN)
        nothing: dict[str, Any] = {"incidents": [], "maintenance": [], "history": []}
        return {"taking_requests": False, "observed_at": None, "work": work, **nothing}
    return {
        "taking_requests": True,
        "observed_at": rfc3339(outlook.looked_at),
        "work": public.paces(outlook),
        "incidents": [
            {
                "title": public.title_of(one.cause, spoken.code),
                "since": rfc3339(one.since),
                "estimate": None if one.estimate is None else rfc3339(one.estimate),
            }
            for one in public.together(outlook.open)
        ],
        "maintenance": [
            {"from": rfc3339(one.begins), "until": rfc3339(one.ends), "reason": one.reason} for one in seen.windows
        ],
        "history": [_past(one, spoken) for one in outlook.over],
    }


def _past(one: Disruption, spoken: Spoken) -> dict[str, Any]:
    ended = one.ended_at or one.since
    return {
        "title": public.title_of(one.cause, spoken.code),
        "since": rfc3339(one.since),
        "until": rfc3339(ended),
        "duration_s": round((ended - one.since) / timedelta(seconds=1), 3),
    }


def page(told: dict[str, Any], spoken: Spoken) -> str:
    """Write the page."""
    words = WORDS[spoken.code]
    return (
        f'<!doctype html><html lang="{spoken.code}"><head><meta charset="utf-8"><title>{words["title"]}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{words['taking' if told['taking_requests'] else 'not_taking']}</h1>"
        f"{''.join(_parts(told, words))}</main></body></html>"
    )


def _parts(told: dict[str, Any], words: Any) -> Iterator[str]:  # noqa: ANN401 - a mapping of words
    yield f"<h2>{words['work']}</h2><dl>"
    for work, pace in told["work"].items():
        yield f"<dt>{words[work]}</dt><dd>{words[pace]}</dd>"
    yield "</dl>"
    if told["observed_at"] is not None:
        yield f"<p>{words['observed'].format(at=_when(told['observed_at']))}</p>"
    open_ = [(one["title"], _lasting(one, words)) for one in told["incidents"]]
    yield from _list(words["incidents"], open_, words["none"])
    planned = [
        (one["reason"], words["from_until"].format(begins=_when(one["from"]), ends=_when(one["until"])))
        for one in told["maintenance"]
    ]
    yield from _list(words["maintenance"], planned, words["none"])
    past = [
        (one["title"], words["lasted"].format(at=_when(one["since"]), minutes=max(1, round(one["duration_s"] / 60))))
        for one in told["history"]
    ]
    yield from _list(words["history"], past, words["none"])


def _lasting(one: dict[str, Any], words: Any) -> str:  # noqa: ANN401 - a mapping of words
    known = one["estimate"] is not None
    until = words["estimate"].format(at=_when(one["estimate"])) if known else words["open_end"]
    return str(words["since"].format(at=_when(one["since"]), until=until))


def _list(heading: str, items: Sequence[tuple[str, str]], none: str) -> Iterator[str]:
    yield f"<h2>{heading}</h2>"
    if not items:
        yield f"<p>{none}</p>"
        return
    yield "<ul>"
    for first, second in items:
        yield f"<li>{escape(first)}<small>{second}</small></li>"
    yield "</ul>"


def _when(text: str) -> str:
    at = datetime.fromisoformat(text).astimezone(UTC)
    return f'<time datetime="{text}">{at:%Y-%m-%d %H:%M} UTC</time>'


def add_status(router: Router, board: Board) -> None:
    """Add the route, which needs no key."""
    content: dict[str, Any] = {"application/json": StatusBody, "text/html": {"type": "string"}}
    router.operation(
        "GET",
        "/status",
        board.status,
        name="getStatus",
        summary="How does the service do?",
        tag="health",
        answers={
            200: Given("How it does; a page for browsers.", content, LANGUAGE_HEADERS),
            503: Given("The same, while no requests are taken.", content, {**LANGUAGE_HEADERS, "Retry-After": "5"}),
        },
        parameters=[ACCEPT_LANGUAGE],
        keyed=False,
    )
