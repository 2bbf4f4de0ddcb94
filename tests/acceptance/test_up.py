"""`invoicing up` as its user meets it: started once for all of these, then broken in every way that happens."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ..architecture.told import asked, labels_asked

COMMAND = [sys.executable, "-P", "-m", "invoicing.cli"]
EVERYTHING = {"web", "worker-1", "dispatcher", "watchdog", "postgres", "redis"}
TOKEN = "a-token-of-monitoring"
README = (Path(__file__).parents[2] / "deploy" / "README.md").read_text()

ENDINGS = {"gauge": [""], "counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}

pytestmark = pytest.mark.timeout(240)


class Started:
    """One `up` on a home folder."""

    def __init__(self, home: Path, *more: str, **settings: str) -> None:
        self.home = home
        self.output = home.with_suffix(".out")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*COMMAND, "up", "--home", str(home), "--port", "0", "--drills", *more],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(INVOICING_METRICS_PORT="0", INVOICING_METRICS_TOKEN=TOKEN, **settings),
                start_new_session=True,
            )
        self.started = psutil.Process(self.process.pid).create_time()
        run_file = home / "run.json"
        until(lambda: run_file.exists() and run_file.stat().st_mtime > self.started, 120, self.text)

    def text(self) -> str:
        return self.output.read_text()

    @property
    def told(self) -> Any:
        return json.loads((self.home / "run.json").read_text())

    @property
    def pids(self) -> dict[str, int]:
        return {process["name"]: process["pid"] for process in self.told["processes"]}

    @property
    def keys(self) -> dict[str, str]:
        keys: dict[str, str] = json.loads((self.home / "dev-keys.json").read_text())
        return keys

    def get(self, path: str, role: str) -> httpx.Response:
        return httpx.get(self.told["url"] + path, headers={"Authorization": f"Bearer {self.keys[role]}"})

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz", "customer").status_code == 200
        except httpx.TransportError:
            return False

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return run(*arguments, home=self.home, stdin=stdin)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def environment(**more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("INVOICING_")}
    return inherited | {"INVOICING_SLOTS": "2"} | more


def run(*arguments: str, home: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(INVOICING_HOME=str(home)),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def until(holds: Callable[[], bool], seconds: float, explain: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    started = Started(tmp_path_factory.mktemp("up") / "home")
    yield started
    started.stop()


def test_ready_means_that_everything_runs_and_every_key_works(up: Started) -> None:
    assert set(up.pids) == EVERYTHING
    assert all(psutil.pid_exists(pid) for pid in up.pids.values())
    for file in ("run.json", "dev-keys.json"):
        assert (up.home / file).stat().st_mode & 0o777 == 0o600, file
    assert up.get("/v1/jobs", "customer").status_code == 200
    assert [up.get("/v1/lanes", role).status_code for role in ("support", "ops", "admin")] == [200, 200, 200]
    assert up.get("/v1/lanes", "customer").status_code == 403


def test_every_process_tells_of_itself_and_monitoring_asks_for_what_is_told_and_explained(up: Started) -> None:
    where = {each["name"]: each["metrics"] for each in up.told["processes"] if "metrics" in each}
    assert where.keys() == EVERYTHING - {"postgres", "redis"}
    told: set[str] = set()
    labels: dict[str, set[str]] = {}
    for url in where.values():
        until(lambda url=url: refuses(url), 30)  # type: ignore[misc]  # the type of a default is not inferred
        answer = httpx.get(url, headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        for family in text_string_to_metric_families(answer.text):
            told |= {family.name + ending for ending in ENDINGS[family.type]}
            for sample in family.samples:
                labels.setdefault(sample.name, set()).update(sample.labels)
    assert asked() <= told
    for name, chosen in labels_asked().items():
        assert chosen <= labels.get(name, chosen), name
    ours = {name for name in told if name.startswith("invoicing_")}
    explained = set(re.findall(r"`(invoicing_\w+)`", README))
    assert explained <= ours | {name.removesuffix("_bucket") for name in ours}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours} <= explained


def refuses(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 401
    except httpx.TransportError:  # it is the last to begin
        return False


def test_the_lines_that_are_printed_issue_an_invoice(up: Started, tmp_path: Path) -> None:
    lines = [line.strip() for line in up.text().splitlines()]
    key, submit = (
        next(line for line in lines if line.startswith("KEY=")),
        next(line for line in lines if line.startswith("curl") and "--data-binary" in line),
    )
    answered = subprocess.run(["sh", "-c", f"{key}; {submit}"], capture_output=True, text=True, check=True)
    job = json.loads(answered.stdout)
    watched = up.run("jobs", "watch", job["id"])
    assert watched.returncode == 0, watched.stdout + watched.stderr
    again = up.run("jobs", "submit", str(up.home / "first-invoice.json"), "--wait", "--output", str(tmp_path))
    assert again.returncode == 0, again.stdout + again.stderr
    assert {"invoice.ubl.xml", "invoice.cii.xml", "invoice.pdf"} <= {path.name for path in tmp_path.iterdir()}


def test_a_file_submitted_twice_makes_its_jobs_once(up: Started) -> None:
    lines = "".join(f'{{"kind": "drill", "payload": {{"seconds": 0.0{n}}}}}\n' for n in (1, 2, 2))
    first, second = (json.loads(up.run("jobs", "submit", "-", "--json", stdin=lines).stdout) for _ in range(2))
    ids = [job["id"] for job in first["items"]]
    assert len(set(ids)) == 3
    assert [job["id"] for job in second["items"]] == ids


def test_a_bad_line_is_named_and_the_others_are_taken(up: Started) -> None:
    lines = '{"kind": "drill", "payload": {}}\n{"kind": "drill", "payload": {"seconds": -1}}\nno json\n'
    done = up.run("jobs", "submit", "-", stdin=lines)
    assert done.returncode == 1
    assert done.stdout.count("accepted as") == 1
    assert "line 2: " in done.stderr
    assert "/payload/seconds" in done.stderr
    assert "line 3: " in done.stderr


def test_why_tells_a_customer_that_its_lane_is_paused(up: Started) -> None:
    paused = up.run("lanes", "pause", "bulk-small", "--for", "5m", "--reason", "the printer is being replaced")
    assert paused.returncode == 0, paused.stderr
    request = '{"kind": "drill", "payload": {"seconds": 0.01}, "priority": "bulk", "reference": "held"}'
    job = json.loads(up.run("jobs", "submit", "-", "--json", stdin=request).stdout)["items"][0]
    assert up.run("jobs", "list", "--state", "queued").stdout.count("held") == 1
    said = up.run("jobs", "why", job["id"]).stdout
    assert "is queued" in said
    assert "Promised by" in said
    assert up.run("lanes", "resume", "bulk-small").returncode == 0
    assert up.run("jobs", "watch", job["id"][-12:]).returncode == 0


def test_a_worker_that_stops_is_an_incident_that_its_jobs_name_until_it_is_back(up: Started) -> None:
    def incident() -> Any:
        return next(iter(up.get("/v1/incidents?cause=no_worker", "ops").json()["items"]), None)

    def job() -> Any:
        return up.get(f"/v1/jobs/{job_id}", "customer").json()

    worker = psutil.Process(up.pids["worker-1"])
    worker.suspend()
    try:
        submitted = up.run("jobs", "submit", "-", "--json", stdin='{"kind": "drill", "payload": {}}').stdout
        job_id = json.loads(submitted)["items"][0]["id"]
        until(lambda: incident() is not None, 60, up.text)
        until(lambda: job()["incident"] is not None, 10, up.text)
        assert job()["incident"]["id"] == incident()["id"]
        assert (incident()["scope"], incident()["severity"], incident()["blast"]["jobs"]) == ("*", "S1", 1)
        assert "invoicing workers" in up.run("incidents", "show", incident()["id"]).stdout
        refused = up.run("incidents", "resolve", incident()["id"], "--text", "it is nothing")
        assert (refused.returncode, "still seen" in refused.stderr) == (1, True)
    finally:
        worker.resume()
    until(lambda: job()["state"] == "succeeded", 60, up.text)
    assert job()["incident"] is None
    until(lambda: incident()["quiet_since"] or incident()["resolved"], 60, up.text)
    assert up.run("incidents", "resolve", incident()["id"], "--text", "it works again").returncode == 0
    assert incident()["state"] == "resolved"


def test_the_demo_issues_the_small_invoice_while_the_large_one_is_made(up: Started) -> None:
    done = up.run("demo", "--lines", "2500", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    large, small = told["seen"]
    assert told["small_issued_while_large_ran"] is True
    assert (large["state"], small["state"]) == ("succeeded", "succeeded")
    assert small["payable"] == "300.00"
    assert all(size > 0 for one in (large, small) for size in one["downloads"].values())
    assert len(small["downloads"]) >= 3


def test_doctor_finds_nothing_wrong_in_a_running_service(up: Started) -> None:
    done = up.run("doctor", "--json")
    checks = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, done.stdout
    assert {"web", "postgresql", "durability", "tables", "workers", "redis", "kind invoice.issue"} <= checks.keys()
    assert {check["condition"] for check in checks.values()} == {"ok"}


def test_a_second_up_on_the_same_home_is_refused_by_the_pid_of_the_first(up: Started) -> None:
    refused = run("up", "--port", "0", home=up.home)
    assert refused.returncode == 1
    assert f"process {up.process.pid}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_port_in_use_is_refused_with_the_remedy(up: Started, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run("up", "--port", str(taken.getsockname()[1]), home=tmp_path / "other")
    assert refused.returncode == 1
    assert "--port" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert up.process.poll() is None


@pytest.mark.parametrize("name", ["worker-1", "web", "redis", "postgres"])
def test_whoever_is_killed_is_started_again_and_run_json_says_so(up: Started, name: str) -> None:
    before = up.pids[name]
    os.kill(before, signal.SIGKILL)
    until(lambda: up.pids.get(name, before) != before, 30, up.text)
    assert f"started again (pid {up.pids[name]})" in up.text()
    until(up.is_ready, 30, up.text)
    request = f'{{"kind": "drill", "payload": {{}}, "reference": "{name}"}}'
    done = up.run("jobs", "submit", "-", "--wait", stdin=request)
    assert done.returncode == 0, done.stdout + done.stderr + up.text()


def test_after_kill_9_nothing_is_left_and_a_second_start_has_everything(up: Started) -> None:
    keys, pids = up.keys, up.pids
    children = psutil.Process(pids["worker-1"]).children(recursive=True)
    job = json.loads(up.run("jobs", "submit", "-", "--json", stdin='{"kind": "drill", "payload": {}}').stdout)["items"][
        0
    ]
    up.process.kill()
    up.process.wait()
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids.values()), 15, lambda: str(pids))
    until(lambda: not any(child.is_running() for child in children), 5)
    again = Started(up.home)
    try:
        assert again.keys == keys
        assert again.get(f"/v1/jobs/{job['id']}", "customer").status_code == 200
    finally:
        pids = again.pids
        assert again.stop() == 0
    assert not (up.home / "run.json").exists()
    assert not any(psutil.pid_exists(pid) for pid in pids.values())
