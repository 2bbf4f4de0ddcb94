"""`demo`: an invoice over four years of bills and, right after it, a small one; what their customer sees, live."""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.bills import large_request, small_request
from invoicing.cli.client import Answer, Service, reach
from invoicing.cli.faults import REFUSED, Fault
from invoicing.cli.follow import follow_all
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import ERRORS, OUT, emit, say
from invoicing.cli.ports import answers
from invoicing.cli.run_file import RunFile
from invoicing.cli.wording import moment, sentences, short_clock, span
from invoicing.kit.clock import now
from invoicing.kit.ids import new_id

_UP_WITHIN_S = 240.0
_DOWN_WITHIN_S = 90.0


@dataclass(frozen=True)
class Seen:
    """What the customer saw of one invoice; times are RFC 3339, seconds count from submission."""

    invoice: str
    job_id: str
    lines: int
    state: str
    submitted_at: str
    started_at: str | None
    finished_at: str | None
    seconds: float | None
    number: str | None
    payable: str | None
    downloads: dict[str, int]


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("demo", rich_help_panel="On this machine")(demo)


def demo(
    lines: Annotated[int, typer.Option(min=1, max=500_000, help="Lines of the large invoice.")] = 50_000,
    small: Annotated[int, typer.Option(min=1, max=1_000_000, help="What the small invoice comes to (EUR).")] = 300,
    seed: Annotated[int, typer.Option(help="The same seed makes the same invoices.")] = 7,
    *,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the result files there.")] = None,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Request an invoice over four years of bills and, right after it, a small one; follow both.

    Starts the service for the time of the demo when none runs in DIR. Exit code 0 when both were issued, the small
    one while the large one was still being made.

    Example: `invoicing demo --lines 50000 --seed 7`
    """
    with _running(home, url, quiet=as_json), reach(home, url, key) as service:
        jobs = _submit_both(service, lines, small, seed, quiet=as_json)
        ended = follow_all(service, jobs, quiet=as_json)
        if not as_json:
            say("Fetching the result files ...")
        seen = [
            _seen(title, job, count, _downloads(service, job, output))
            for (title, _), job, count in zip(jobs, ended, (lines, 3), strict=True)
        ]
        overtook = _overtook(ended)
        if as_json:
            emit({"seen": [asdict(one) for one in seen], "small_issued_while_large_ran": overtook})
        else:
            _conclude(seen, ended, overtook=overtook)
    if not overtook or any(one.state != "succeeded" for one in seen):
        raise typer.Exit(REFUSED)


def _submit_both(service: Service, lines: int, small: int, seed: int, *, quiet: bool) -> list[tuple[str, str]]:
    today, run = now().date(), new_id()
    with tempfile.TemporaryFile() as body:
        began = time.monotonic()
        size = _write(body, large_request(seed, lines, today))
        if not quiet:
            took = span(time.monotonic() - began)
            say(f"Wrote four years of bills: {lines:,} lines, {size / 1e6:.1f} MB of JSON, in {took}.")
        began = time.monotonic()
        large_id = service.submit(body, f"demo-{run}-large")["job"]["id"]
        if not quiet:
            say(f"The large request was accepted {span(time.monotonic() - began)} after its first byte: {large_id}")
    with tempfile.TemporaryFile() as body:
        _write(body, small_request(seed, today, Decimal(small)))
        began = time.monotonic()
        small_id = service.submit(body, f"demo-{run}-small")["job"]["id"]
        if not quiet:
            say(f"The small request was accepted after {span(time.monotonic() - began)}: {small_id}")
    return [("four years", large_id), (f"{small} EUR", small_id)]


def _write(body: IO[bytes], pieces: Iterator[bytes]) -> int:
    for piece in pieces:
        body.write(piece)
    size = body.tell()
    body.seek(0)
    return size


def _downloads(service: Service, job: Answer, output: Path | None) -> dict[str, int]:
    folder = None
    if output is not None:
        folder = output / job["reference"]
        folder.mkdir(parents=True, exist_ok=True)
    return {artifact["name"]: service.download(artifact, folder) for artifact in job["artifacts"]}


def _seen(title: str, job: Answer, lines: int, downloads: dict[str, int]) -> Seen:
    result = job.get("result") or {}
    seconds = None
    if job["finished_at"]:
        seconds = round((moment(job["finished_at"]) - moment(job["submitted_at"])).total_seconds(), 3)
    return Seen(
        invoice=title,
        job_id=job["id"],
        lines=lines,
        state=job["state"],
        submitted_at=job["submitted_at"],
        started_at=job["started_at"],
        finished_at=job["finished_at"],
        seconds=seconds,
        number=result.get("number"),
        payable=result.get("payable"),
        downloads=downloads,
    )


def _overtook(jobs: Sequence[Answer]) -> bool:
    """Tell whether the small one was issued between the submission and the end of the large one."""
    large, small = jobs
    if large["finished_at"] is None or small["state"] != "succeeded":
        return False
    return moment(large["submitted_at"]) < moment(small["finished_at"]) < moment(large["finished_at"])


def _conclude(seen: Sequence[Seen], ended: Sequence[Answer], *, overtook: bool) -> None:
    table = Table(title="What the customer saw", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in (
        "invoice",
        "lines",
        "submitted",
        "started",
        "ended",
        "seconds",
        "state",
        "number",
        "payable",
        "files",
    ):
        table.add_column(column, justify="right" if column in {"lines", "seconds", "payable"} else "left")
    for one in seen:
        times = short_clock(one.submitted_at), short_clock(one.started_at), short_clock(one.finished_at)
        took = "-" if one.seconds is None else f"{one.seconds:.1f}"
        files = f"{len(one.downloads)}, {sum(one.downloads.values()) / 1e6:.1f} MB"
        result = one.state, one.number or "-", f"{one.payable} EUR" if one.payable else "-", files
        table.add_row(one.invoice, f"{one.lines:,}", *times, took, *result)
    OUT.print(table)
    for job in ended:
        if job["state"] != "succeeded":
            for sentence in sentences(job):
                say(escape(sentence))
    say(_verdict(seen, overtook=overtook))


def _verdict(seen: Sequence[Seen], *, overtook: bool) -> str:
    large, small = seen
    if overtook and large.seconds is not None and small.seconds is not None:
        return (
            f"[bold green]The small invoice was issued {span(small.seconds)} after it was requested, while the large "
            f"one was being made[/], which took {span(large.seconds)}."
        )
    return "[bold red]The small invoice was not issued while the large one was being made.[/]"


@contextmanager
def _running(home: Path, url: str | None, *, quiet: bool) -> Iterator[None]:
    """Make sure that a service runs: the one that is named, or that of the home folder, else one for this time."""
    if url is not None or _is_up(home):
        yield
        return
    if not quiet:
        say(f"Nothing runs in {escape(str(home))}: starting the service for the time of the demo ...")
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = home / "demo-up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - no shell; the arguments are ours
            [sys.executable, "-P", "-m", "invoicing.cli", "up", "--home", str(home), "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C ends the demo, which then ends the service in order
        )
    try:
        _await_up(process, home, log)
        yield
    finally:
        if not quiet:
            say("Stopping the service again ...")
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_DOWN_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            ERRORS.print(f"The service did not stop in {_DOWN_WITHIN_S:.0f} s and was killed; nothing is lost.")


def _is_up(home: Path) -> bool:
    """Ask the service that the home folder names; after a `kill -9` of `up` its file is still there."""
    running = RunFile.of(home).read()
    return running is not None and answers(f"{running['url']}/readyz")


def _await_up(process: "subprocess.Popen[bytes]", home: Path, log: Path) -> None:
    deadline = time.monotonic() + _UP_WITHIN_S
    while not _is_up(home):
        if process.poll() is not None:
            words = log.read_text(encoding="utf-8", errors="replace").strip()
            raise Fault(f"The service did not start:\n{words}", f"`invoicing up --home {home}` shows more.")
        if time.monotonic() > deadline:
            raise Fault(f"The service was not ready in {_UP_WITHIN_S:.0f} s.", f"See {log}.")
        time.sleep(0.1)
