"""`up`: everything on this machine, with a live board on a terminal and plain lines elsewhere."""

import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Annotated

import typer
from rich.live import Live
from rich.markup import escape

from invoicing.cli.begin import TICK_S, Beginning, address, free_port
from invoicing.cli.board import Told, View, draw, states_line
from invoicing.cli.next_steps import next_steps
from invoicing.cli.options import DEFAULT_HOME, Home
from invoicing.cli.output import OUT, say
from invoicing.cli.run_file import RunFile
from invoicing.kit import embedded
from invoicing.kit.clock import now
from invoicing.settings import Settings, read

_LINE_AT_LEAST_EVERY_S = 60.0
_LINES_APART_S = 2.0
_DRAWN_EVERY_S = 0.5


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("up", rich_help_panel="On this machine")(up)


def up(
    home: Home = DEFAULT_HOME,
    port: Annotated[
        int | None,
        typer.Option(envvar="INVOICING_PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one."),
    ] = None,
    *,
    drills: Annotated[
        bool, typer.Option("--drills", envvar="INVOICING_DRILLS", help="Offer the kind `drill`, for rehearsals.")
    ] = False,
    slots: Annotated[
        int | None, typer.Option(envvar="INVOICING_SLOTS", min=2, max=1000, help="Jobs a worker runs at a time.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
) -> None:
    """Start everything on this machine: PostgreSQL, Redis, web, dispatcher, workers, watchdog.

    All data stays in one folder and survives any kind of stop. Ctrl-C drains and stops; a second Ctrl-C kills.

    Example: `invoicing up --home .invoicing --port 8000`
    """
    given = read()
    settings = replace(
        given,
        home=home.absolute(),
        port=given.port if port is None else port,
        drills=drills,
        slots=given.slots if slots is None else slots,
    )
    if settings.port == 0:
        settings = replace(settings, port=free_port(settings.host))
    with embedded.hold(home) as held:
        Up(held, settings).run(workers)


class Up:
    """One run, from nothing to nothing: begin, watch, drain."""

    def __init__(self, home: embedded.Home, settings: Settings) -> None:
        """Start nothing yet."""
        self._home = home.path
        self._signals = 0
        self._since = now()
        self._told: deque[Told] = deque(maxlen=50)
        self._drawing = False
        self._beginning = Beginning(home, settings, self._tell, lambda: self._signals > 0)
        self._supervisor = self._beginning.supervisor
        self._run_file = RunFile.of(self._home)
        self._last_line = ("", 0.0)

    def run(self, workers: int) -> None:
        """Run until a signal comes."""
        self._run_file.remove()  # of a run that was cut off
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        began = time.monotonic()
        try:
            if self._beginning.run(workers):
                self._write_run_file()
                say(next_steps(address(self._beginning.settings), self._home, time.monotonic() - began))
                self._watch()
        finally:
            self._end()

    def _note_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _tell(self, text: str) -> None:
        """Say something that happened: on the board while there is one, as a line otherwise."""
        told = Told(now(), text)
        self._told.append(told)
        if not self._drawing:
            say(f"{told.at.astimezone():%H:%M:%S} {escape(text)}")

    def _watch(self) -> None:
        """Keep everything alive until a signal comes, and show how it goes."""
        if not OUT.is_terminal:
            self._look_until_signalled(_LINES_APART_S, self._write_line)
            return
        with Live(console=OUT, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
            self._drawing = True
            self._look_until_signalled(_DRAWN_EVERY_S, lambda: live.update(draw(self._view()), refresh=True))
        self._drawing = False

    def _look_until_signalled(self, every_s: float, show: Callable[[], None]) -> None:
        shown = 0.0
        while self._signals == 0:
            if self._supervisor.look():
                self._write_run_file()
            if time.monotonic() - shown >= every_s:
                show()
                shown = time.monotonic()
            time.sleep(TICK_S)

    def _view(self) -> View:
        return View(
            url=address(self._beginning.settings),
            since=self._since,
            now=now(),
            processes=self._supervisor.processes(),
            away=self._supervisor.away(),
            snapshot=self._beginning.snapshot,
            told=list(self._told),
            rows=OUT.size.height,
        )

    def _write_line(self) -> None:
        """Write how many jobs are in which state when that changed, and once a minute in any case."""
        snapshot = self._beginning.snapshot
        if snapshot is None:
            return
        line = states_line(snapshot.states).plain if snapshot.away is None else f"no ledger: {snapshot.away}"
        last, at = self._last_line
        if line != last or time.monotonic() - at >= _LINE_AT_LEAST_EVERY_S:
            say(f"{snapshot.at.astimezone():%H:%M:%S} {escape(line)}")
            self._last_line = (line, time.monotonic())

    def _write_run_file(self) -> None:
        database_url, redis_url = self._supervisor.settings.servers()
        self._run_file.write(address(self._supervisor.settings), database_url, redis_url, self._supervisor.processes())

    def _end(self) -> None:
        """Drain the parts, then stop the servers; a second signal cuts the draining short."""
        self._run_file.remove()
        if self._signals:
            self._tell("stopping: running jobs go on to their next checkpoint (Ctrl-C again to kill)")
            self._supervisor.drain(lambda: self._signals > 1)
        else:
            self._supervisor.kill()
        self._beginning.end()
        self._supervisor.stop_servers()
        if self._signals:
            self._tell(f"stopped; everything is kept in {self._home}")
