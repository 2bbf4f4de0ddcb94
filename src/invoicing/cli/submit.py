"""`jobs submit`: one request, or a file of many; sent twice it is still one job."""

import hashlib
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO, cast

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from invoicing.cli.client import Answer, Service, problem_text, reach
from invoicing.cli.faults import REFUSED, USAGE, Fault
from invoicing.cli.follow import follow_all
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import ERRORS, OUT, emit, say
from invoicing.cli.wording import at_the_end

_HELD = frozenset({"in_review", "awaiting_quota"})
"""Causes that say more than that it was accepted."""

_TOGETHER = 500
_MOST_SHOWN = 20
"""Jobs that are followed with a bar each; of more, only the sum would be readable."""


@dataclass(frozen=True)
class Source:
    """A file to submit, open at its beginning."""

    name: str
    file: BinaryIO
    lines: int
    """How many lines, when it is NDJSON; 0 when it is one JSON document."""


def attach(jobs: typer.Typer) -> None:
    """Add the verb."""
    jobs.command("submit")(submit)


def submit(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="JSON (one job) or NDJSON (a job a line); - reads standard input."),
    ],
    idempotency_key: Annotated[
        str | None,
        typer.Option("--idempotency-key", metavar="TEXT", help="For one job: use this instead of the content's hash."),
    ] = None,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Follow to the end; exit code 1 unless all succeed.")] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --wait: download the result files there.")
    ] = None,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Submit jobs from files.

    What is sent is safe to send again: its Idempotency-Key is the sha256 of the content, so the same file (or line)
    submitted twice makes one job, and says so. A line that stands in a file twice is two jobs.

    Example: `invoicing jobs submit examples/small.json --wait --output .`
    """
    if idempotency_key is not None and len(files) > 1:
        raise Fault("--idempotency-key names one job, and several files were given.", "Submit them one by one.", USAGE)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        wait = True
    taken: list[Answer] = []
    refused = 0
    with reach(home, url, key) as service:
        for name in files:
            with opened(name) as source:
                answers = _many(service, source) if source.lines else _one(service, source, idempotency_key)
                for answer in answers:
                    refused += _tell(source.name, answer, quiet=as_json)
                    if "job" in answer:
                        taken.append(answer["job"])
        if wait and taken:
            taken = _to_the_end(service, taken, output, quiet=as_json)
    if as_json:
        emit({"items": taken, "refused": refused})
    if refused or (wait and any(job["state"] != "succeeded" for job in taken)):
        raise typer.Exit(REFUSED)


def _one(service: Service, source: Source, key: str | None) -> Iterator[Answer]:
    yield {"line": 0, **service.submit(source.file, key or _digest(source.file))}


def _many(service: Service, source: Source) -> Iterator[Answer]:
    """Send the lines in batches, each line with a key made of its content and how often it came before."""
    with _progress(source) as bar:
        task = bar.add_task(escape(source.name), total=source.lines)
        lines = _keyed((number, line) for number, line in enumerate(source.file, 1) if line.strip())
        while batch := list(islice(lines, _TOGETHER)):
            content = b"".join(line for _, line in batch)
            for answer in service.submit_many(content, hashlib.sha256(content).hexdigest()):
                bar.advance(task)
                yield {**answer, "line": batch[answer["line"] - 1][0]}


def _keyed(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Give each line an idempotency key of its own, so that a file that grew is safe to send again; keep its number."""
    seen: Counter[str] = Counter()
    for number, line in lines:
        digest = hashlib.sha256(line.strip()).hexdigest()
        seen[digest] += 1
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        if not isinstance(request, dict):  # the service says what is wrong with it
            yield number, line.strip() + b"\n"
            continue
        request.setdefault("idempotency_key", f"{digest}-{seen[digest]}")
        yield number, json.dumps(request, ensure_ascii=False).encode() + b"\n"


def _tell(name: str, answer: Answer, *, quiet: bool) -> int:
    """Say what became of a request; gives 1 when it was refused."""
    where = f"{name}, line {answer['line']}" if answer["line"] else name
    if "problem" in answer:
        problem: dict[str, Any] = answer["problem"]
        ERRORS.print(f"[red]{escape(where)}[/]: {escape(problem_text(problem))}", soft_wrap=True)
        if problem.get("remedy"):
            ERRORS.print(f"  Remedy: {escape(str(problem['remedy']))}", soft_wrap=True)
        return 1
    job = answer["job"]
    if not quiet and job is not None:
        again = " (submitted before: this is the job that was made then)" if answer.get("replayed") else ""
        say(f"{escape(where)}: accepted as [bold]{job['id']}[/]{again}")
        if job["cause"] and job["cause"]["code"] in _HELD:
            say(f"  {escape(job['cause']['message'])}")
    return 0


def _to_the_end(service: Service, jobs: Sequence[Answer], output: Path | None, *, quiet: bool) -> list[Answer]:
    ended: list[Answer] = []
    for start in range(0, len(jobs), _MOST_SHOWN):
        some = jobs[start : start + _MOST_SHOWN]
        titles = [(job.get("reference") or job["id"][-12:], job["id"]) for job in some]
        ended += follow_all(service, titles, quiet=quiet)
    for job in ended:
        for sentence in at_the_end(job) if not quiet else ():
            say(escape(sentence))
        for artifact in job["artifacts"] if output is not None else ():
            folder = output if len(ended) == 1 else cast("Path", output) / job["id"]
            cast("Path", folder).mkdir(exist_ok=True)
            size = service.download(artifact, folder)
            if not quiet:
                say(escape(f"  {cast('Path', folder) / artifact['name']}: {size:,} bytes"))
    return ended


@contextmanager
def opened(name: str) -> Iterator[Source]:
    """Open a file, or standard input (spooled, because it is read twice), and tell which kind of file it is."""
    if name != "-":
        try:
            with Path(name).open("rb") as file:
                yield _source(name, file)
        except OSError as error:
            if error.filename is None:
                raise
            raise Fault(f"{name} cannot be read: {error.strerror}.", "Name a file, or - for standard input.") from error
        return
    with tempfile.SpooledTemporaryFile(max_size=8 * 1024 * 1024) as spooled:
        while piece := sys.stdin.buffer.read(1024 * 1024):
            spooled.write(piece)
        spooled.seek(0)
        yield _source("standard input", cast("BinaryIO", spooled))


def _source(name: str, file: BinaryIO) -> Source:
    """Tell NDJSON from JSON: its first line is a whole value, and another follows."""
    lines = _count_lines(file) if _first_line_is_whole(file) else 0
    file.seek(0)
    return Source(name, file, lines if lines > 1 or name.endswith((".ndjson", ".jsonl")) else 0)


def _first_line_is_whole(file: BinaryIO) -> bool:
    try:
        json.loads(file.readline())
    except ValueError:
        return False
    return True


def _count_lines(file: BinaryIO) -> int:
    file.seek(0)
    return sum(1 for line in file if line.strip())


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := file.read(1024 * 1024):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()


def _progress(source: Source) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=ERRORS if not OUT.is_terminal else OUT,
        disable=not OUT.is_terminal or source.lines < _MOST_SHOWN,
        transient=True,
    )
