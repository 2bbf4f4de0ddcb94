"""Drills touch a running `up` of this machine with drills allowed, and nothing else whatever a file says."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from invoicing.cli.command import main
from invoicing.cli.drill_site import descends, parents_now


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "dev-keys.json").write_text('{"customer": "c", "ops": "o"}')
    return tmp_path


@contextmanager
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process that a drill must leave alone."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.communicate()


def write_run_file(home: Path, pid: int, url: str = "http://127.0.0.1:9") -> None:
    processes = [{"name": "worker-1", "role": "worker", "pid": pid}]
    (home / "run.json").write_text(json.dumps({"url": url, "processes": processes}))


def drill(home: Path, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["drill", *arguments, "--home", str(home)])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_nothing_that_runs_nothing_that_breaks(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drill(home, "worker-kill", "--yes") == 3
    assert "invoicing up --drills" in capsys.readouterr().err


def test_a_process_that_no_up_of_this_folder_started_is_left_alone(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bystander() as process, bystander() as other:
        write_run_file(home, process.pid)
        for holder in ("", str(other.pid)):  # nobody holds the folder; or somebody else's process does
            (home / "lock").write_text(holder)
            assert drill(home, "worker-kill", "--yes") == 3
            assert "nothing was touched" in capsys.readouterr().err
        assert process.poll() is None


def test_a_service_without_drills_is_left_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with bystander() as process, service_of('{"items": [{"kind": "invoice.issue"}]}') as url:
        write_run_file(home, process.pid, url)
        (home / "lock").write_text(str(os.getpid()))
        assert drill(home, "worker-kill", "--yes") == 4
        assert "Drills are not allowed on this service" in capsys.readouterr().err
        assert process.poll() is None


def test_a_server_that_is_not_ups_own_is_left_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with bystander() as process, service_of('{"items": [{"kind": "drill"}]}') as url:
        write_run_file(home, process.pid, url)
        (home / "lock").write_text(str(os.getpid()))
        for name in ("redis-flush", "db-restart"):
            assert drill(home, name, "--yes") == 1
            assert "not `up`'s own" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["moon-eclipse", "--yes"], "There are worker-kill"),
        (["worker-kill", "30", "--yes"], "redis-down"),
    ],
)
def test_wrong_usage_says_what_there_is(
    home: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drill(home, *arguments) == 2
    assert says in capsys.readouterr().err


def test_whose_child_a_process_is_is_known() -> None:
    with bystander() as process:
        parents = parents_now()
        assert descends(process.pid, os.getpid(), parents)
        assert descends(process.pid, process.pid, parents)
        assert not descends(os.getpid(), process.pid, parents)
    assert not descends(process.pid, os.getpid(), parents_now())


@contextmanager
def service_of(kinds: str) -> Iterator[str]:
    """Answer every GET with a list of kinds."""

    class Kinds(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(kinds.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Kinds) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
