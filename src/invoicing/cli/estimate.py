"""`jobs estimate`: what would become of a request if it were submitted now; nothing is stored."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from invoicing.cli.client import reach
from invoicing.cli.faults import REFUSED, Fault
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import emit, say
from invoicing.cli.submit import opened
from invoicing.cli.wording import clock, eta_text, position_text, span


def attach(jobs: typer.Typer) -> None:
    """Add the verb."""
    jobs.command("estimate")(estimate)


def estimate(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The request (JSON); - reads standard input.")],
    priority: Annotated[str | None, typer.Option(help="Suppose this priority: urgent, normal or bulk.")] = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Say what would become of a request: its size, place, end and promise, and whether it would be taken in now.

    Example: `invoicing jobs estimate examples/small.json --priority bulk`
    """
    request = _request(file)
    if priority is not None:
        request["priority"] = priority
    kind = request["kind"]
    with reach(home, url, key) as service:
        found = service.post(f"/v1/kinds/{quote(kind, safe='')}:estimate", request)
    if as_json:
        emit(found)
    else:
        for sentence in estimate_told(found):
            say(escape(sentence))
    if not found["admission"]["accepted"]:
        raise typer.Exit(REFUSED)


def estimate_told(found: Mapping[str, Any]) -> Iterator[str]:
    """Put an estimate into sentences."""
    lane, door, promise = found["lane"], found["admission"], found["promise"]
    yield f"It would be a {lane['size']} {lane['priority']} job of about {span(found['predicted_s'])} of work."
    if not door["accepted"]:
        yield f"It would not be taken in now: {door['message']} [{door['code']}]"
        yield f"Send it in {span(door['retry_after_s'])}. Were it taken in now:"
    if found["position"]:
        yield position_text(found["position"], lane)
    yield eta_text(found["eta"], found.get("normal"))
    yield f"It would be promised by {clock(promise['due'])}: {promise['status'].replace('_', ' ')}."
    yield f"At first: {found['cause']['message']} [{found['cause']['code']}]"


def _request(name: str) -> dict[str, Any]:
    with opened(name) as source:
        try:
            request = json.load(source.file)
        except ValueError as error:
            raise Fault(
                f"{source.name} is not one JSON document: {error}.", "Estimate one request at a time."
            ) from error
    if not isinstance(request, dict) or not isinstance(request.get("kind"), str):
        raise Fault(f"{source.name} does not say of which kind it is.", "Give it as it would be submitted.")
    return request
