"""Where a job's time went, on the terminal."""

from io import StringIO

import pytest
from rich.console import Console

from invoicing.cli.why import account_told, bar, causes_told, intervals_told, totals_table


@pytest.mark.parametrize(
    ("share", "drawn"), [(0.0, ""), (1.0, "█" * 40), (0.5, "█" * 20), (1 / 320, "▏"), (0.5 + 7 / 320, "█" * 20 + "▉")]
)
def test_a_bar_is_as_long_as_its_share(share: float, drawn: str) -> None:
    assert bar(share) == drawn


def test_totals_have_a_bar_for_each_cause() -> None:
    written = StringIO()
    Console(file=written, width=100).print(totals_table({"lane_saturated": 45.0, "running_normally": 15.0}))
    first, second = written.getvalue().splitlines()
    assert first.split() == ["lane", "saturated", "45", "s", "75%", "█" * 30]
    assert second.split() == ["running", "normally", "15", "s", "25%", "█" * 10]


def test_the_last_stretches_are_told_and_how_many_there_were() -> None:
    part = {"cause": "lane_saturated", "since": "2026-11-22T12:00:00Z", "seconds": 1.0}
    account = {
        "intervals": [part] * 20, "earlier": {}, "seconds": 20.0, "since": part["since"], "until": part["since"],
    }  # fmt: skip
    first, *others = intervals_told(account)
    assert (first, len(others)) == ("  the last 12 of 20 stretches:", 12)
    assert others[0].endswith("lane saturated for 1.0 s")
    assert account_told(account).startswith("Where its 20 s went")


def test_what_holds_beside_the_first_cause_is_told_too() -> None:
    causes = [
        {"code": code, "message": f"M {code}.", "next": f"N {code}.", "who": f"W {code}."}
        for code in ("paused", "no_worker")
    ]
    assert list(causes_told({"causes": causes})) == [
        "Next: N paused.", "Who can act: W paused.", "Also: M no_worker. [no_worker]",
    ]  # fmt: skip
    assert list(causes_told({"causes": []})) == []


def test_a_finished_job_shows_no_cause_so_that_the_first_is_told_here() -> None:
    cause = {"code": "undelivered_result", "message": "Not taken.", "next": "It is sent again.", "who": "You."}
    assert next(causes_told({"causes": [cause]}, shown=False)) == "Why: Not taken. [undelivered_result]"
