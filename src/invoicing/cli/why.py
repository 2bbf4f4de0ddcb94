"""Why a job is where it is, in sentences, and where its time went, as bars."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from invoicing.cli.wording import clock, short_clock, span

_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"
_LATEST = 12
"""Intervals that are shown one by one."""


def causes_told(told: Mapping[str, Any], *, shown: bool = True) -> Iterator[str]:
    """Say what happens next and who can act, and what holds beside the first cause.

    The first itself is said unless the job shows it, which a finished one does not.
    """
    first, *others = told["causes"] or [None]
    if first is not None:
        if not shown:
            yield f"Why: {first['message']} [{first['code']}]"
        yield f"Next: {first['next']}"
        yield f"Who can act: {first['who']}"
    for cause in others:
        yield f"Also: {cause['message']} [{cause['code']}]"


def account_told(account: Mapping[str, Any]) -> str:
    """Say how long the life is that was booked."""
    return (
        f"Where its {span(account['seconds'])} went, from {short_clock(account['since'])} to {clock(account['until'])}:"
    )


def totals_table(totals: Mapping[str, float]) -> Table:
    """Show seconds by cause, each with its share as a bar."""
    whole = sum(totals.values()) or 1.0
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for cause, seconds in totals.items():
        table.add_row(f"  {_plain(cause)}", span(seconds), f"{seconds / whole:.0%}", bar(seconds / whole))
    return table


def intervals_told(account: Mapping[str, Any]) -> Iterator[str]:
    """Say what came last, one by one."""
    intervals: Sequence[Mapping[str, Any]] = account["intervals"]
    if len(intervals) > _LATEST:
        yield f"  the last {_LATEST} of {len(intervals)}{' or more' if account['earlier'] else ''} stretches:"
    for part in intervals[-_LATEST:]:
        yield f"  {short_clock(part['since'])} {_plain(part['cause'])} for {span(part['seconds'])}"


def bar(share: float) -> str:
    """Draw a share of one as a bar, to the eighth of a character."""
    eighths = round(share * _WIDTH * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _plain(cause: str) -> str:
    return cause.replace("_", " ")
