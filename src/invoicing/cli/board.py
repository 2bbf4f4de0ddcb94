"""What the live board shows, drawn from a snapshot: lanes, processes, jobs per state, the last events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from invoicing.cli.herald import Told
from invoicing.cli.observe import Snapshot
from invoicing.jobs.model import Event, Priority, Size, State
from invoicing.jobs.service import LATEST, Happened
from invoicing.lanes.model import Worker
from invoicing.lanes.service import LaneStanding

_COLOURS = {
    State.QUEUED: "cyan",
    State.RUNNING: "blue",
    State.RETRYING: "yellow",
    State.IN_REVIEW: "magenta",
    State.SUCCEEDED: "green",
    State.DEAD: "red",
    State.CANCELLED: "bright_black",
}
_EVENT_COLOURS = {Event.SUCCEEDED: "green", Event.DEAD: "red", Event.RETRYING: "yellow", Event.RESCUED: "yellow"}

_FRAME = 5
"""Lines of a table beside its rows: title, two blank ones, header, rule."""


@dataclass(frozen=True)
class View:
    """All that the board is drawn from."""

    url: str
    since: datetime
    now: datetime
    processes: Sequence[tuple[str, str, int]]
    away: Sequence[str]
    """Names of processes that are about to be started again."""
    snapshot: Snapshot | None
    told: Sequence[Told]
    rows: int
    """Lines of the terminal."""


def draw(view: View) -> RenderableType:
    """Draw the board; it never grows beyond the terminal."""
    up_for = timedelta(seconds=int((view.now - view.since).total_seconds()))
    head = Text.from_markup(
        f"[bold]invoicing[/] · {escape(view.url)} · up {up_for} · Ctrl-C stops", overflow="ellipsis"
    )
    head.no_wrap = True
    snapshot = view.snapshot
    if snapshot is None or snapshot.away is not None:
        why = "not asked yet" if snapshot is None else snapshot.away
        return Group(
            head, Text(f"The ledger does not answer: {why}", style="red"), _processes(view, ()), *_said(view, 5)
        )
    lanes, processes = _lanes(snapshot.standings), _processes(view, snapshot.workers)
    taken = 1 + (_FRAME + len(Size)) + (_FRAME + processes.row_count) + 1 + 1 + 1
    paused = _pauses(snapshot.standings)
    left = max(2, min(14, view.rows - taken - len(paused)))
    return Group(head, lanes, *paused, processes, states_line(snapshot.states), *_events(view, snapshot.happened, left))


def states_line(states: Mapping[State, int]) -> Text:
    """Count jobs by state, in one line."""
    line = Text("jobs: ", no_wrap=True, overflow="ellipsis")
    for state in State:
        if count := states.get(state, 0):
            line.append(f"{count:,} {state.value}  ".replace("_", " "), style=_COLOURS[state])
    if not states:
        line.append("none yet", style="bright_black")
    elif sum(states.values()) >= LATEST:
        line.append(f"(of the last {LATEST:,})", style="bright_black")
    return line


def _lanes(standings: Sequence[LaneStanding]) -> Table:
    table = Table(title="Lanes", title_justify="left", title_style="bold", expand=True, box=SIMPLE_HEAD)
    table.add_column("size")
    table.add_column("slots", justify="right")
    for priority in Priority:
        table.add_column(str(priority), justify="left", ratio=1)
    at = {(standing.lane.size, standing.lane.priority): standing for standing in standings}
    for size in Size:
        cells = [_lane(at.get((size, priority))) for priority in Priority]
        slots = max((one.slots for one in standings if one.lane.size is size), default=0)
        table.add_row(str(size), Text(str(slots), style="" if slots else "red"), *cells)
    return table


def _lane(standing: LaneStanding | None) -> Text:
    if standing is None or not (standing.waiting or standing.running or standing.pause):
        return Text("·", style="bright_black")
    cell = Text()
    if standing.pause:
        cell.append("paused ", style="bold yellow")
    if standing.running:
        cell.append(f"{standing.running} running ", style="blue")
    if standing.waiting:
        cell.append(f"{standing.waiting:,} waiting", style="cyan")
    return cell


def _pauses(standings: Sequence[LaneStanding]) -> list[Text]:
    paused = [(one.lane.name, one.pause) for one in standings if one.pause is not None]
    return [
        Text(
            f"{name} is paused until {pause.until.astimezone():%H:%M} by {pause.by}: {pause.reason}",
            style="yellow",
            no_wrap=True,
            overflow="ellipsis",
        )
        for name, pause in paused[:3]
    ]


def _processes(view: View, workers: Sequence[Worker]) -> Table:
    table = Table(title="Processes", title_justify="left", title_style="bold", expand=True, box=SIMPLE_HEAD)
    for column in ("name", "pid"):
        table.add_column(column, no_wrap=True)
    table.add_column("state", ratio=1, no_wrap=True, overflow="ellipsis")
    by_pid = {worker.pid: worker for worker in workers}
    for name, role, pid in view.processes:
        table.add_row(name, str(pid), _condition(role, by_pid.get(pid), view.now))
    for name in view.away:
        table.add_row(name, "-", Text("down, about to be started again", style="red"))
    return table


def _condition(role: str, worker: Worker | None, now: datetime) -> Text:
    if role != "worker":
        return Text("running", style="green")
    if worker is None:
        return Text("warming up", style="yellow")
    beat = max(0.0, (now - worker.beat_at).total_seconds())
    if not worker.alive:
        return Text(f"no heartbeat for {beat:.0f} s", style="red")
    if worker.stopping:
        return Text(f"draining, {worker.slots} slots, last beat {beat:.0f} s ago", style="yellow")
    return Text(f"serving, {worker.slots} slots, last beat {beat:.0f} s ago", style="green")


def _events(view: View, happened: Sequence[Happened], count: int) -> list[Text]:
    """Merge what happened to jobs with what `up` had to say, the newest last."""
    lines = [(one.at, event_line(one)) for one in happened] + [(one.at, _said_line(one)) for one in view.told]
    newest = sorted(lines, key=lambda line: line[0])[-count:]
    return [Text("last events", style="bold"), *(line for _, line in newest)]


def event_line(one: Happened) -> Text:
    """Say in a line what happened to a job."""
    line = Text(f"{one.at.astimezone():%H:%M:%S} ", no_wrap=True, overflow="ellipsis")
    line.append(f"{one.event.value.replace('_', ' '):<10}", style=_EVENT_COLOURS.get(one.event, ""))
    line.append(f" {one.kind} {one.reference or ''} ")
    line.append(str(one.job_id)[-12:], style="bright_black")
    if one.event is Event.PROGRESSED:
        line.append(f"  {one.data.get('done', 0):,.0f} of {one.data.get('total', 0):,.0f} {one.data.get('unit', '')}")
    elif one.event is not Event.ACCEPTED and one.data:
        line.append("  " + ", ".join(f"{name} {value}" for name, value in one.data.items()))
    return line


def _said(view: View, count: int) -> list[Text]:
    return [_said_line(told) for told in view.told[-count:]]


def _said_line(told: Told) -> Text:
    return Text(f"{told.at.astimezone():%H:%M:%S} {told.text}", style="yellow", no_wrap=True, overflow="ellipsis")
