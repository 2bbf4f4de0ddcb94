"""Workers whose wall clock is off for real: libfaketime stands between them and the C library's clock."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from invoicing.cli.drill_signs import OWN_LOG
from invoicing.cli.drill_site import Site
from invoicing.cli.faults import Fault
from invoicing.cli.part import settings_line
from invoicing.settings import Settings

_PLACES = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")
_FILE = "libfaketime.so.1"  # not the variant for threads (libfaketimeMT): it serialises every look at the clock
_READY_WITHIN_S = 120.0
_ENDS_WITHIN_S = 30.0
HOUR_S = 3600


def library() -> Path | None:
    """Find libfaketime: the distribution's, or the one in the Python package of that name."""
    if sys.platform != "linux":
        return None
    found = [path for place in _PLACES for path in Path("/").glob(f"{place[1:]}/{_FILE}")]
    if (package := find_spec("libfaketime")) and package.submodule_search_locations:
        found += [path for place in package.submodule_search_locations for path in Path(place).rglob(_FILE)]
    return found[0] if found else None


def insist() -> Path:
    """Find it, or say what is missing."""
    found = library()
    if found is None:
        raise Fault(
            "clock-skew needs libfaketime, which is not there: without it no process here can have a wrong wall clock.",
            "Install it (Debian: `apt install libfaketime`, or the Python package libfaketime), on Linux.",
        )
    return found


@dataclass(frozen=True)
class Skewed:
    """A worker of the drill's own."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        """Its process id: the worker's own, as the registry of workers has it."""
        return self.process.pid

    def off_by(self) -> float | None:
        """By how many seconds the clock that it writes into its log differs from ours; None before it is ready."""
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if told.get("action") == "worker.ready":
                return datetime.fromisoformat(told["at"]).timestamp() - self.log.stat().st_ctime
        return None


@contextmanager
def worker(site: Site, off_s: int, slots: int) -> Iterator[Skewed]:
    """Run one more worker, whose wall clock is off by so many seconds, while the block runs, or we do."""
    told, log = site.told, site.home / "logs" / f"{OWN_LOG}worker{off_s:+d}.log"
    lease = round(site.lease_s())
    settings = Settings(
        str(told["database_url"]), str(told["redis_url"]), site.home, drills=True, slots=slots, lease_s=lease
    )
    faked = {
        "LD_PRELOAD": str(insist()),
        "FAKETIME": f"{off_s:+d}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "invoicing.cli.part", "worker"],
            stdin=subprocess.PIPE,  # its end, which comes when we are gone, ends the worker
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | faked,
            start_new_session=True,
        )
    assert process.stdin is not None
    try:
        process.stdin.write(settings_line(settings))
        process.stdin.flush()
        yield Skewed(process, log)
    finally:
        process.terminate()
        try:
            process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()


def await_ready(skewed: Skewed, off_s: int) -> None:
    """Wait until it serves, and insist that its clock is off."""
    deadline = time.monotonic() + _READY_WITHIN_S
    while (off := skewed.off_by()) is None:
        if skewed.process.poll() is not None or time.monotonic() > deadline:
            raise Fault("A worker with a wrong clock did not start.", f"See {skewed.log}.")
        time.sleep(0.2)
    if abs(off - off_s) > 60:
        raise Fault(f"The clock of the worker is off by {off:.0f} s and not by {off_s} s.", f"See {skewed.log}.")
