"""A drill that calls says what was the matter: the counterpart, for how long, or that there is none to call."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from invoicing.jobs.model import Failed, Outcome, Rejected, Succeeded
from workers.kinds import drill

Ask = Callable[[str], tuple[int, timedelta | None]]


async def performed(monkeypatch: pytest.MonkeyPatch, ask: Ask, url: str | None = "http://counterpart/ready") -> Outcome:
    """Perform a drill that calls; nobody is asked."""
    monkeypatch.setattr(drill, "ask", ask)
    settings = {} if url is None else {"drill_url": url}
    job: Any = SimpleNamespace(failures=0, saved=None, settings=settings, checkpoint=AsyncMock())
    return await drill.perform(job, drill.Drill(seconds=0, mode="call"))


@pytest.mark.parametrize(
    ("status", "asked", "down"),
    [(200, None, False), (404, None, False), (429, timedelta(seconds=30), True), (500, None, True), (503, None, True)],
)
async def test_what_the_counterpart_answers_is_its_fault_or_it_did_its_part(
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    asked: timedelta | None,
    down: bool,  # noqa: FBT001 - parametrised
) -> None:
    outcome = await performed(monkeypatch, lambda _: (status, asked))
    if down:
        assert isinstance(outcome, Failed)
        assert (outcome.dependency, outcome.retry_after) == (drill.COUNTERPART, asked)
        assert "http" not in outcome.error.message
    else:
        assert isinstance(outcome, Succeeded)


async def test_a_counterpart_that_cannot_be_reached_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> tuple[int, None]:
        raise ConnectionRefusedError

    outcome = await performed(monkeypatch, refuse)
    assert isinstance(outcome, Failed)
    assert outcome.dependency == drill.COUNTERPART


async def test_without_an_address_nobody_is_called_and_nothing_is_called_down(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(await performed(monkeypatch, lambda _: (200, None), url=None), Rejected)


def test_only_a_drill_that_calls_needs_the_counterpart() -> None:
    needed = {mode: drill.KIND.needed(drill.Drill(mode=mode)) for mode in ("sleep", "fail", "call")}
    assert needed == {"sleep": "", "fail": "", "call": drill.COUNTERPART}
