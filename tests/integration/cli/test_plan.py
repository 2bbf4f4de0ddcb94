"""`plan` answers without any server for a described load, and from the ledger where there is one."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from invoicing.cli.command import main
from invoicing.lanes.model import POLICY
from invoicing.plan.described import load_of, table
from invoicing.plan.model.load import arrivals
from invoicing.plan.model.simulation import simulate
from invoicing.plan.model.work import Fleet

Run = Callable[..., tuple[int, str, str]]

LOAD = """
lasts = "10m"
workers = [2, 2]

[[stream]]
name = "shop"
kind = "invoice.issue"
rate = 3600
size = "500ms"
customers = 5

[[stream]]
name = "years"
rate = 12
size = { pareto = { alpha = 1.1, least = "60s", most = "10m" } }
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    for name in ("DATABASE_URL", "REDIS_URL", "URL", "KEY"):
        monkeypatch.delenv(f"INVOICING_{name}", raising=False)
    monkeypatch.setenv("INVOICING_HOME", str(tmp_path / "none"))

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["plan", *arguments])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


@pytest.fixture
def load(tmp_path: Path) -> str:
    file = tmp_path / "load.toml"
    file.write_text(LOAD)
    return str(file)


def answered(run: Run, *arguments: str) -> dict[str, Any]:
    code, out, err = run(*arguments, "--repeat", "1", "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def small(scenario: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in scenario["classes"] if row["size"] == "small" and row["priority"] is None)


def test_the_printed_example_can_be_planned_with(run: Run, tmp_path: Path) -> None:
    code, example, _ = run("--example")
    assert code == 0
    (tmp_path / "a.toml").write_text(example)
    assert load_of(table(example, "it")).streams
    code, out, err = run("--load", str(tmp_path / "a.toml"), "--lasts", "5m", "--repeat", "1")
    assert code == 0, err
    assert "Today, with 2 workers of 4 slots" in out
    assert "the load of a.toml" in out


def test_the_answer_is_that_of_the_simulator_called_directly(run: Run, load: str) -> None:
    (today,) = answered(run, "--load", load, "--seed", "5")["scenarios"]
    jobs, _ = arrivals(load_of(table(LOAD, "it")), 5, 50_000)
    directly = simulate(jobs, Fleet((2, 2)), POLICY)
    waits = sorted(one.wait_s for one in directly.jobs if one.wait_s is not None and one.work.size_s <= 1.0)
    row = small(today)
    assert (today["jobs"], row["jobs"]) == (len(jobs), len(waits))
    assert row["wait_s"]["max"] == pytest.approx(waits[-1])
    assert today["lasted_s"] == pytest.approx(directly.lasted_s)
    assert today["idle_while_waiting"] == pytest.approx(directly.idle_while_waiting)


def test_today_stands_beside_what_if_from_the_same_jobs(run: Run, load: str) -> None:
    found = answered(
        run, "--load", load, "--double", "years", "--workers", "1", "--set", "spare=0", "--kill-worker", "2m-3m"
    )
    today, what_if = found["scenarios"]
    assert (today["name"], today["workers"], today["changes"]) == ("today", [2, 2], [])
    assert (what_if["name"], what_if["workers"]) == ("what if", [2])
    assert what_if["changes"] == [
        "twice as many years jobs", "1 worker of 2 slots", "a worker dies at 2m and is back at 3m", "spare = 0",
    ]  # fmt: skip
    assert what_if["quotas"]["small"] == 2
    assert small(what_if)["jobs"] == small(today)["jobs"]
    assert what_if["jobs"] > today["jobs"]
    assert small(what_if)["wait_s"]["p99"] > small(today)["wait_s"]["p99"]


def test_the_fewest_slots_that_keep_a_promise_keep_it_and_one_fewer_does_not(run: Run, load: str) -> None:
    asked = ("--load", load, "--promise", "small=2s")
    fewest = answered(run, *asked)["fewest_slots"]
    assert fewest["promises"][0]["kept"]
    assert fewest["slots"] == sum(fewest["workers"])
    assert fewest["slots"] > 1
    fewer = answered(run, *asked, "--workers", "1", "--slots", str(fewest["slots"] - 1))
    assert not fewer["scenarios"][-1]["promises"][0]["kept"]


def test_people_are_told_how_it_was_simulated_and_what_few_jobs_do_not_prove(run: Run, load: str) -> None:
    code, out, _ = run("--load", load, "--repeat", "2", "--seed", "4", "--promise", "huge=1s", "--most", "100")
    assert code == 0
    said = " ".join(out.split())
    for part in ("2 runs, seed 4", "virtual time", "Cut off: a stream has more than 100 jobs", "fewer than 500 jobs"):
        assert part in said
    assert "huge within 1 s: there are no such jobs" in said or "huge within 1 s: broken" in said


def test_what_the_service_would_refuse_is_refused_unless_one_asks_for_it_to_be_taken_in(run: Run) -> None:
    flood = 'name = "night", at_once = 3000, size = "1s", priority = "bulk"'
    asked = ("--stream", flood, "--lasts", "1m", "--workers", "1", "--slots", "2")
    (with_admission,), (without,) = (answered(run, *asked, *flag)["scenarios"] for flag in ((), ("--no-admission",)))
    (told,) = with_admission["refused"]
    assert (told["priority"], told["jobs"]) == ("bulk", 3000)
    assert 0 < told["refused"] == small(with_admission)["refused"]
    assert told["retry_after_s"]["p90"] >= told["retry_after_s"]["p50"] >= 1
    assert (with_admission["admission"], without["admission"]) == (True, False)
    assert (without["refused"], small(without)["refused"]) == ([], 0)
    assert with_admission["lasted_s"] < without["lasted_s"]
    code, out, _ = run(*asked, "--repeat", "1")
    assert code == 0
    assert f"of 3,000 bulk jobs {told['refused']:,} were refused" in " ".join(out.split())


def test_a_load_can_be_described_by_flags_alone(run: Run) -> None:
    stream = 'name = "a", rate = 600, size = "200ms"'
    (today,) = answered(run, "--stream", stream, "--lasts", "10m", "--workers", "3", "--slots", "2")["scenarios"]
    assert today["workers"] == [2, 2, 2]
    assert today["jobs"] == pytest.approx(100, abs=40)


@pytest.mark.parametrize("ending", [".svg", ".png"])
def test_it_is_drawn_where_asked(run: Run, load: str, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"plan{ending}"
    code, _, err = run("--load", load, "--repeat", "1", "--rate", "2", "--plot", str(file))
    assert code == 0, err
    assert file.read_bytes()[:4] in {b"<svg", b"\x89PNG"}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 3, "INVOICING_DATABASE_URL"),
        (("--load", "absent.toml"), 2, "--load absent.toml cannot be read"),
        (("--stream", 'name = "a"'), 2, "/stream/0/size"),
        (("--stream", "name = "), 2, "--stream is no TOML"),
        (("--lasts", "1h"), 2, "--lasts belongs to a described load"),
        (("LOAD", "--lasts", "soon"), 2, "/lasts"),
        (("LOAD", "--double", "bills"), 2, "--double bills: there is no job of that kind"),
        (("LOAD", "--scale", "years"), 2, "--scale KIND=2"),
        (("LOAD", "--scale-larger-than", "big=2"), 2, "--scale-larger-than 'big' is no time"),
        (("LOAD", "--rate", "0"), 2, "--rate 0"),
        (("LOAD", "--promise", "tiny=2s"), 2, "small, medium, large, huge"),
        (("LOAD", "--promise", "small=fast"), 2, "--promise 'fast' is no time"),
        (("LOAD", "--set", "reserve.large"), 2, "has no value"),
        (("LOAD", "--set", "reserve.large=much"), 2, "is no number"),
        (("LOAD", "--set", "reserve.gigantic=0.2"), 2, "--set reserve.gigantic: "),
        (("LOAD", "--set", "cutoffs.small_s=500"), 2, "--set cutoffs"),
        (("LOAD", "--kill-worker", "1m", "--kill-worker", "2m", "--kill-worker", "3m"), 2, "there are 2 workers"),
        (("LOAD", "--kill-worker", "5m-1m"), 2, "back before it dies"),
        (("LOAD", "--slots", "0"), 2, "--slots 0"),
        (("LOAD", "--plot", "a.jpg"), 2, ".svg nor .png"),
        (("LOAD", "--plot", "no/such/folder/a.svg"), 2, "there is no folder"),
        (("--last", "soon"), 2, "--last 'soon'"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_flag_rule_and_remedy(
    run: Run, load: str, arguments: tuple[str, ...], code: int, says: str
) -> None:
    given = [part for argument in arguments for part in (("--load", load) if argument == "LOAD" else (argument,))]
    ended, out, err = run(*given)
    said = " ".join(err.split())
    assert (ended, out) == (code, ""), said
    assert says in said
    assert "Remedy:" in said


async def fill(database_url: str, count: int) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO customers (id, slug, name) VALUES (gen_random_uuid(), 'acme', 'Acme')")
    await connection.execute(
        """INSERT INTO jobs (id, customer_id, kind, priority, size, predicted_s, state, revision, attempt, order_at,
               promise_due, submitted_at, finished_at)
           SELECT gen_random_uuid(), c.id, CASE n % 10 WHEN 0 THEN 'bills' ELSE 'invoice.issue' END, 'normal', 'small',
               0.5, 'succeeded', 3, 1, now(), now(), now() - n * interval '1 s', now() - n * interval '1 s'
           FROM customers c, generate_series(1, $1::int) AS n""",
        count,
    )
    await connection.execute(
        """INSERT INTO attempts (job_id, number, worker_id, started_at, ended_at, outcome)
           SELECT id, 1, id, finished_at - interval '1 s' * CASE kind WHEN 'bills' THEN 5 ELSE 0.5 END, finished_at,
               'succeeded' FROM jobs"""
    )
    await connection.close()


async def test_the_ledgers_own_history_is_planned_with(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(database_url, 300)
    monkeypatch.setenv("INVOICING_DATABASE_URL", database_url)
    found = await in_thread(run, "--slots", "2", "--double", "bills")
    today, what_if = found["scenarios"]
    assert (today["jobs"], what_if["jobs"]) == (300, 330)
    assert today["workers"] == [2]
    assert any("No worker is alive" in note for note in found["simulated"]["notes"])
    classes = {row["size"]: row["jobs"] for row in today["classes"]}
    assert classes == {"small": 270, "medium": 30}


async def test_a_history_that_is_too_short_says_so(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(database_url, 3)
    monkeypatch.setenv("INVOICING_DATABASE_URL", database_url)
    code, _, err = await asyncio.to_thread(run, "--last", "1d")
    assert code == 1
    assert "Only 3 jobs finished in the last 24 h" in err
    assert "--example" in err


async def in_thread(run: Run, *arguments: str) -> dict[str, Any]:
    """Call the command outside this test's event loop: it runs one of its own."""
    return await asyncio.to_thread(answered, run, *arguments)
