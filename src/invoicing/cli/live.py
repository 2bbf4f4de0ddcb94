"""One run of `up` once its first parts are loading: begin, show, keep alive, drain."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from rich.live import Live
from rich.markup import escape

from invoicing.cli.begin import TICK_S, Beginning
from invoicing.cli.board import View, draw, states_line
from invoicing.cli.herald import Herald
from invoicing.cli.next_steps import next_steps
from invoicing.cli.output import OUT, say
from invoicing.cli.ports import address
from invoicing.cli.run_file import RunFile
from invoicing.cli.supervise import Supervisor
from invoicing.kit.clock import now
from invoicing.settings import Settings

_LINE_AT_LEAST_EVERY_S = 60.0
_LINES_APART_S = 2.0
_DRAWN_EVERY_S = 0.5


class Up:
    """One run, from nothing to nothing: begin, watch, drain."""

    def __init__(self, home: Path, settings: Settings, supervisor: Supervisor, herald: Herald) -> None:
        """Go on from where the first parts were started."""
        self._home = home
        self._signals = 0
        self._herald = herald
        self._supervisor = supervisor
        self._beginning = Beginning(home, settings, supervisor, herald.tell, lambda: self._signals > 0)
        self._run_file = RunFile.of(home)
        self._last_line = ("", 0.0)

    def run(self, workers: int) -> None:
        """Run until a signal comes."""
        self._run_file.remove()  # of a run that was cut off
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        try:
            if self._beginning.run(workers):
                self._write_run_file()
                say(
                    next_steps(
                        address(self._beginning.settings), self._home, (now() - self._herald.since).total_seconds()
                    )
                )
                self._watch()
        finally:
            self._end()

    def _note_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _watch(self) -> None:
        """Keep everything alive until a signal comes, and show how it goes."""
        if not OUT.is_terminal:
            self._look_until_signalled(_LINES_APART_S, self._write_line)
            return
        with Live(console=OUT, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
            self._herald.aloud = False
            self._look_until_signalled(_DRAWN_EVERY_S, lambda: live.update(draw(self._view()), refresh=True))
        self._herald.aloud = True

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
            since=self._herald.since,
            now=now(),
            processes=self._supervisor.processes(),
            away=self._supervisor.away(),
            snapshot=self._beginning.snapshot,
            told=list(self._herald.told),
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
        supervisor = self._supervisor
        url, told = address(supervisor.settings), supervisor.metrics()
        self._run_file.write(url, database_url, redis_url, supervisor.processes(), told)

    def _end(self) -> None:
        """Drain the parts, then stop the servers; a second signal cuts the draining short."""
        self._run_file.remove()
        if self._signals:
            self._herald.tell("stopping: running jobs go on to their next checkpoint (Ctrl-C again to kill)")
            self._supervisor.drain(lambda: self._signals > 1)
        else:
            self._supervisor.kill()
        self._beginning.end()
        self._supervisor.stop_servers()
        if self._signals:
            self._herald.tell(f"stopped; everything is kept in {self._home}")
