"""`drill`: breaks something on purpose on the service that runs here, and says how soon that was noticed and over."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any

import typer
from rich.markup import escape

from invoicing.cli import drill_skew
from invoicing.cli.drill_promises import DRILLS, Drill
from invoicing.cli.drill_run import conduct
from invoicing.cli.drill_show import document, sentence, table
from invoicing.cli.drill_site import Site, find
from invoicing.cli.drill_verdict import Outcome, judge
from invoicing.cli.faults import REFUSED, USAGE, Fault
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home
from invoicing.cli.output import ERRORS, OUT, emit, say

ALL = "all"

_HELP = f"""Break something on purpose on the service that `up` runs here, and measure how it recovers.

Submits jobs of its own before, during and after, breaks one thing, mends it (also when interrupted), and says when
that was noticed, when all worked again, and whether what the service promises was kept. Exit code 0: kept; 1: not.

Only a service of this machine that was started with `invoicing up --drills` is ever touched.

{chr(10).join(f"- `{drill.name}{' SECONDS' if drill.settable else ''}` {drill.does}" for drill in DRILLS.values())}
- `{ALL}` all of these, one after the other

Example: `invoicing drill worker-kill`

Example: `invoicing drill db-down 20 --yes --json`
"""


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("drill", help=_HELP, rich_help_panel="On this machine")(drill)


def drill(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which drill; `all` for each in turn.")],
    seconds: Annotated[
        float | None, typer.Argument(metavar="[SECONDS]", min=1, max=600, help="How long an outage lasts.")
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    within: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="Judge by this bound instead of the promised one.")
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Break something and measure (see `_HELP`)."""
    chosen = _chosen(name, seconds)
    with _interruptible():
        site = find(home.absolute())
        possible, skipped = _possible(site, chosen)
        if not as_json:
            for one in possible:
                _announce(one, site, within)
        _confirm(yes=yes)
        found = [_tried(site, one, seconds, within, quiet=as_json, alone=len(chosen) == 1) for one in possible]
    if as_json:
        emit({"drills": found, "skipped": [{"drill": one.name, "why": why} for one, why in skipped]})
    else:
        for one, why in skipped:
            say(f"{one.name}: left out. {escape(why)}")
    if any(one["outcome"] != Outcome.KEPT for one in found):
        raise typer.Exit(REFUSED)


def _chosen(name: str, seconds: float | None) -> Sequence[Drill]:
    if name != ALL and name not in DRILLS:
        raise Fault(f"There is no drill {name!r}.", f"There are {', '.join(DRILLS)} and {ALL}.", USAGE)
    chosen = list(DRILLS.values()) if name == ALL else [DRILLS[name]]
    if seconds is not None and not any(one.settable for one in chosen):
        settable = ", ".join(one.name for one in DRILLS.values() if one.settable)
        raise Fault(f"{name} is not a drill that lasts as long as one likes.", f"SECONDS is for {settable}.", USAGE)
    return chosen


def _possible(site: Site, chosen: Sequence[Drill]) -> tuple[Sequence[Drill], Sequence[tuple[Drill, str]]]:
    """Sort out what cannot be done here; where a single drill was asked for, that is a refusal."""
    obstacles = {one.name: _obstacle(site, one) for one in chosen}
    skipped = [(one, fault.why) for one in chosen if (fault := obstacles[one.name])]
    if len(chosen) == 1 and (fault := obstacles[chosen[0].name]):
        raise fault
    return [one for one in chosen if obstacles[one.name] is None], skipped


def _obstacle(site: Site, chosen: Drill) -> Fault | None:
    if chosen.server is not None and not site.processes(chosen.server):
        return Fault(
            f"The {chosen.server} of this service is not `up`'s own, so it is not touched.",
            "Drills of servers are for `invoicing up` with its embedded ones.",
        )
    try:
        if chosen.name == "clock-skew":
            drill_skew.insist()
    except Fault as fault:
        return fault
    return None


def _announce(chosen: Drill, site: Site, within: float | None) -> None:
    bound = chosen.bound(len(site.processes("worker")), site.lease_s()) if within is None else within
    since = "the end of it" if chosen.from_end else "the fault"
    say(f"[bold]{chosen.name}[/] {chosen.does}.")
    say(f"  Promised: {chosen.promise}; all works again within {bound:g} s of {since}.")


def _confirm(*, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Fault("A drill asks before it breaks anything, and nobody is there to answer.", "Give --yes.", USAGE)
    if not typer.confirm("Jobs of others on this service will feel it. Go on?", err=True):
        raise Fault("Nothing was touched.")


def _tried(
    site: Site, chosen: Drill, seconds: float | None, within: float | None, *, quiet: bool, alone: bool
) -> dict[str, Any]:
    """Do a drill; one of several that cannot be done proves nothing, and does not keep the others from being done."""
    try:
        return _done(site, chosen, seconds, within, quiet=quiet)
    except Fault as fault:
        if alone:
            raise
        if not quiet:
            say(f"\n{chosen.name}: {Outcome.NOT_PROVEN}. {escape(fault.why)}")
        return {"drill": chosen.name, "outcome": Outcome.NOT_PROVEN, "reasons": [fault.why]}


def _done(site: Site, chosen: Drill, seconds: float | None, within: float | None, *, quiet: bool) -> dict[str, Any]:
    with _progress(chosen) as tell:
        measured = conduct(site, chosen, seconds, tell)
    verdict = judge(chosen, measured, within)
    if not quiet:
        OUT.print()
        OUT.print(table(chosen, measured))
        say(sentence(chosen, measured, verdict))
    return document(chosen, measured, verdict)


@contextmanager
def _progress(chosen: Drill) -> Iterator[Callable[[str], None]]:
    """Show what goes on just now, on a terminal."""
    if not ERRORS.is_terminal:
        yield lambda _text: None
        return
    with ERRORS.status(chosen.name) as status:
        yield lambda text: status.update(f"{chosen.name}: {escape(text)}")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have any signal that ends us do so as Ctrl-C does, so that what is broken is mended first.

    Ctrl-C itself as well: whoever is started in the background of a script has been told to pass over it.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    except KeyboardInterrupt:
        ERRORS.print("Interrupted; what was broken has been mended.")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
