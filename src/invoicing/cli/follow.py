"""Following jobs to their end by long polling: progress bars on a terminal, lines elsewhere."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Self

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

from invoicing.cli.client import FINISHED, Answer, Service
from invoicing.cli.faults import NOT_REACHABLE, Fault
from invoicing.cli.output import OUT, say
from invoicing.cli.wording import COLOURS, clock, eta_text, progress_text
from invoicing.kit.clock import now

_LINES_APART_S = 10.0
_GIVE_UP_AFTER_S = 60.0
"""How long a service may be away before following it ends: a restart takes seconds."""

Changed = Callable[[str, Answer], None]


def follow(service: Service, job_id: str, changed: Changed, ended: threading.Event | None = None) -> Answer:
    """Tell of every change of a job until its end; outlives restarts of the service. Gives the job as it ended."""
    tag: str | None = None
    job: Answer | None = None
    last_heard = time.monotonic()
    while job is None or job["state"] not in FINISHED:
        if ended is not None and ended.is_set():
            break
        try:
            news = service.changed(job_id, tag)
        except Fault as fault:
            if fault.code != NOT_REACHABLE or time.monotonic() - last_heard > _GIVE_UP_AFTER_S:
                raise
            time.sleep(0.5)
            continue
        last_heard = time.monotonic()
        if news is not None:
            job, tag = news
            changed(job_id, job)
    assert job is not None
    return job


def follow_all(service: Service, jobs: Sequence[tuple[str, str]], *, quiet: bool = False) -> list[Answer]:
    """Follow jobs (title, id) side by side, showing each; gives them as they ended, in the same order."""
    ended = threading.Event()
    with _shown(jobs, quiet=quiet) as show, ThreadPoolExecutor(len(jobs), thread_name_prefix="follow") as threads:
        try:
            following = [threads.submit(follow, service, job_id, show.changed, ended) for _, job_id in jobs]
            wait(following, return_when=FIRST_EXCEPTION)
        finally:
            ended.set()
        return [one.result() for one in following]


def _shown(jobs: Sequence[tuple[str, str]], *, quiet: bool) -> "Bars | Lines":
    """Choose how to show: bars need a terminal."""
    return Bars(jobs) if OUT.is_terminal and not quiet else Lines(() if quiet else jobs)


class _State(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Colour the state."""
        state = str(task.fields.get("state", ""))
        return Text(state.replace("_", " "), style=COLOURS.get(state, ""))


class Bars:
    """A bar for each job, with what the status says below it."""

    def __init__(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Show all as not yet known."""
        self._bars = Progress(
            TextColumn("[bold]{task.description}"),
            _State(),
            BarColumn(None),
            TaskProgressColumn(),
            TextColumn("{task.fields[far]}", table_column=Column(no_wrap=True)),
            console=OUT,
            expand=True,
        )
        self._tasks = {
            job_id: self._bars.add_task(escape(title), total=None, state="", far="") for title, job_id in jobs
        }
        self._titles = {job_id: title for title, job_id in jobs}
        self._says: dict[str, str] = {}
        self._live = Live(get_renderable=self._draw, console=OUT, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def changed(self, job_id: str, job: Answer) -> None:
        """Show a job as it is now."""
        progress = job.get("progress")
        total, done = (progress["total"], progress["done"]) if progress else (None, 0)
        if job["state"] in FINISHED:
            total = total or 1
            done = total if job["state"] == "succeeded" else done
        far = f"ended {clock(job['finished_at'])}" if job.get("finished_at") else progress_text(job)
        self._bars.update(self._tasks[job_id], total=total, completed=done, state=job["state"], far=far)
        self._says[job_id] = status_text(job)

    def _draw(self) -> Group:
        says = [Text(f"{self._titles[job_id]}: {text}", style="dim") for job_id, text in self._says.items() if text]
        return Group(self._bars, *says)


class Lines:
    """A line for each change of state, and for progress now and then."""

    def __init__(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Say nothing yet."""
        self._titles = {job_id: title for title, job_id in jobs}
        self._last: dict[str, tuple[str, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def changed(self, job_id: str, job: Answer) -> None:
        """Say what changed."""
        state, at = self._last.get(job_id, ("", 0.0))
        if job_id not in self._titles:
            return
        if job["state"] == state and time.monotonic() - at < _LINES_APART_S:
            return
        self._last[job_id] = (job["state"], time.monotonic())
        parts = [job["state"].replace("_", " "), progress_text(job), status_text(job)]
        at_time = f"{now().astimezone():%H:%M:%S}"
        say(escape(f"{at_time} {self._titles[job_id]}: {', '.join(filter(None, parts))}"))


def status_text(job: Answer) -> str:
    """Say what the status says of an unfinished job: its cause, and when its end is expected."""
    if job["state"] in FINISHED:
        return ""
    cause = job.get("cause")
    eta = eta_text(job["eta"]) if job.get("eta") else ""
    return " ".join(filter(None, [cause["message"] if cause else "", eta]))
