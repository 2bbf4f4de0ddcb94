"""`plan`: what if, by simulation of the policy itself, over the ledger's history or a load that somebody describes."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from invoicing.cli import plan_flags as flags
from invoicing.cli.durations import a_duration
from invoicing.cli.faults import USAGE, Fault
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home
from invoicing.cli.output import ERRORS, OUT, emit
from invoicing.cli.plan_source import Source, described
from invoicing.cli.plan_words import How, answered, document, fleet_text, headline, legend
from invoicing.plan.described import EXAMPLE
from invoicing.plan.model.answer import TODAY, WHAT_IF, Answer, Asked, answer
from invoicing.plan.model.changes import Change, changed
from invoicing.plan.model.door import Admission
from invoicing.plan.model.scenario import Scenario
from invoicing.plan.model.search import MOST_SLOTS
from invoicing.plan.model.work import Fleet
from invoicing.plan.parallel import on_cores

_PICTURES = (".svg", ".png")


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("plan", rich_help_panel="On this machine")(plan)


def plan(
    load: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A load described in TOML, instead of the ledger's history.")
    ] = None,
    stream: Annotated[
        list[str] | None, typer.Option(metavar="TOML", help='A stream of it: \'name="a", rate=60, size="2s"\'.')
    ] = None,
    lasts: Annotated[str | None, typer.Option(metavar="TIME", help="How long the described load lasts.")] = None,
    last: Annotated[str, typer.Option(metavar="TIME", help="How far back to look in the ledger.")] = "7d",
    most: Annotated[int, typer.Option(min=100, max=2_000_000, help="Jobs to simulate at most (of a stream).")] = 50_000,
    rate: Annotated[float | None, typer.Option(metavar="X", help="What if all jobs come X times as fast.")] = None,
    double: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="What if there are twice as many of a kind.")
    ] = None,
    scale: Annotated[
        list[str] | None, typer.Option(metavar="KIND=X", help="What if there are X times as many.")
    ] = None,
    scale_larger_than: Annotated[
        list[str] | None, typer.Option(metavar="TIME=X", help="What if there are X times as many that take longer.")
    ] = None,
    longer: Annotated[
        list[str] | None, typer.Option(metavar="KIND=X", help="What if jobs of a kind take X times as long.")
    ] = None,
    kill_worker: Annotated[
        list[str] | None, typer.Option(metavar="AT[-BACK]", help="What if a worker dies: 30m, or 30m-45m and back.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="What if there are so many workers.")] = None,
    slots: Annotated[int | None, typer.Option(help="What if each worker has so many slots.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="SETTING=X", help="What if the policy has reserve.large=0.25.")
    ] = None,
    promise: Annotated[
        list[str] | None, typer.Option(metavar="CLASS=TIME", help="Jobs are to end within it: small=2s; how few slots?")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Chance: the same seed, the same jobs.")] = 1,
    repeat: Annotated[int, typer.Option(min=1, max=100, help="Runs, each with other chances.")] = 3,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it: FILE.svg or FILE.png.")] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a load to begin with.")] = False,  # noqa: FBT002 - typer reads the signature
    *,
    admission: Annotated[
        bool, typer.Option("--admission/--no-admission", help="Refuse what the service would refuse; or nothing.")
    ] = True,
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Ask what if: simulates the service's own scheduling policy in virtual time, and touches nothing.

    The jobs are those that finished lately in the ledger, or a described load (which needs no server). Beside what if
    stands today, from the same jobs: the live workers, or those that the load names.

    Example: `invoicing plan --last 7d --double invoice.issue --promise small=5s`

    Example: `invoicing plan --load load.toml --kill-worker 30m --plot a.svg` (a load: `invoicing plan --example`)
    """
    if example:
        OUT.out(EXAMPLE, end="", highlight=False)
        return
    _check_picture(plot)
    changes = flags.changes_of(rate, double or (), scale or (), scale_larger_than or (), longer or ())
    promises = flags.promises_of(promise or ())
    if load is not None or stream:
        source = described(load, stream or (), lasts, seed, most)
    elif lasts is not None:
        raise Fault("--lasts belongs to a described load.", "Give --load or --stream too, or --last instead.", USAGE)
    else:
        from invoicing.cli.plan_history import from_ledger  # noqa: PLC0415 - a described load needs no database

        source = from_ledger(home, a_duration("--last", last), seed, most)
    flags.check_kinds(flags.kinds_named(double or (), scale or (), longer or ()), (job.kind for job in source.jobs(0)))
    asked = _asked(source, changes, (workers, slots), kill_worker or (), setting or (), (seed, repeat))
    with ERRORS.status("simulating ..."), on_cores(repeat) as simulations:
        door = Admission() if admission else None
        scenarios = [
            replace(one, scenario=replace(one.scenario, simulations=simulations, admission=door)) for one in asked
        ]
        found = answer(scenarios, promises, MOST_SLOTS)
    how = How(source.says, source.notes, seed, repeat)
    if plot is not None:
        _draw(found, how, plot)
    if as_json:
        emit(document(found, how))
        return
    for part in answered(found, how):
        OUT.print(part)


def _asked(
    source: Source,
    changes: Sequence[Change],
    asked_fleet: tuple[int | None, int | None],
    deaths: Sequence[str],
    settings: Sequence[str],
    chance: tuple[int, int],
) -> list[Asked]:
    """Set today beside what if; where nothing is asked, today stands alone."""
    seed, runs = chance
    workers = flags.fleet_of(source.workers, *asked_fleet)
    today = Asked(TODAY, (), Scenario(source.jobs, Fleet(source.workers or workers), source.policy, runs))
    fleet = Fleet(workers, flags.deaths_of(deaths, len(workers)))
    says = [change.says for change in changes]
    if workers != today.scenario.fleet.workers:
        says.append(fleet_text(workers))
    says += [f"a worker dies at {text.replace('-', ' and is back at ')}" for text in deaths]
    says += [text.replace("=", " = ") for text in settings]
    if not says:
        return [today]
    jobs = cache(lambda run: changed(source.jobs(run), changes, seed + run))
    policy = flags.policy_of(source.policy, settings)
    return [today, Asked(WHAT_IF, tuple(says), Scenario(jobs, fleet, policy, runs))]


def _check_picture(plot: Path | None) -> None:
    """Refuse before the work what could not be drawn after it."""
    if plot is not None and plot.suffix.lower() not in _PICTURES:
        raise Fault(f"--plot {plot}: its name ends in neither .svg nor .png.", "Write --plot plan.svg.", USAGE)
    if plot is not None and not plot.parent.is_dir():
        raise Fault(f"--plot {plot}: there is no folder {plot.parent}.", "Make it, or write somewhere else.", USAGE)


def _draw(found: Answer, how: How, plot: Path) -> None:
    from invoicing.plan.drawing.render import FORMATS, render  # noqa: PLC0415 - the typesetter is loaded where it draws
    from invoicing.plan.drawing.scene import scene  # noqa: PLC0415 - with it

    reports = [(legend(told), told.report) for told in found.told]
    drawn = render(scene(headline(found), how.line(), reports, how.notes), FORMATS[plot.suffix.lower()])
    try:
        plot.write_bytes(drawn)
    except OSError as error:
        raise Fault(f"--plot {plot} cannot be written: {error}.", "Write somewhere else.") from error
    ERRORS.print(f"Drew {plot}.", soft_wrap=True, markup=False)
