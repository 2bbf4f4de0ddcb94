"""What `doctor` looks at on this machine: each check is a function that says how it is and what helps."""

import importlib.metadata
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from invoicing.app import load_kinds
from invoicing.cli.dev_keys_file import keys_file, read_keys
from invoicing.cli.faults import Fault
from invoicing.cli.ports import answers, refuse_taken_port
from invoicing.cli.run_file import RunFile
from invoicing.settings import Settings

OK, WARNING, BROKEN = "ok", "warning", "broken"

_NEEDED_FREE = 1024**3  # bytes; PostgreSQL's log of changes alone may take this much between two checkpoints
_OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Finding:
    """How one thing is: `ok`, `warning` or `broken`, what was seen, and what to do about it."""

    check: str
    condition: str
    seen: str
    remedy: str = ""


def here(settings: Settings) -> Iterator[Finding]:
    """Check what needs no server."""
    for check in (_python, _packages, _home, _disk, _keys_mode, _port):
        yield check(settings)
    yield from _kinds(settings)


def _python(_settings: Settings) -> Finding:
    seen = f"{sys.version.split()[0]} at {sys.executable}"
    if sys.version_info < _OLDEST_PYTHON:
        return Finding("python", BROKEN, seen, "Install Python 3.11 or newer.")
    return Finding("python", OK, seen)


def _packages(_settings: Settings) -> Finding:
    """Look for every package that the service's metadata requires."""
    required = [name for name in importlib.metadata.requires("invoicing") or () if "extra ==" not in name]
    missing = sorted({_name(one) for one in required} - {_name(one) for one in required if _installed(_name(one))})
    if missing:
        return Finding("packages", BROKEN, f"missing: {', '.join(missing)}", "Install them: `make run` does.")
    return Finding(
        "packages", OK, f"all {len(required)} are installed, invoicing {importlib.metadata.version('invoicing')}"
    )


def _name(requirement: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else " " for letter in requirement).split()[0]


def _installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _home(settings: Settings) -> Finding:
    home = settings.home
    running = RunFile.of(home).read()
    if running is not None:
        return Finding("home", OK, f"{home}: running at {running['url']}, {len(running['processes'])} processes")
    if not home.exists():
        return Finding("home", OK, f"{home}: not there yet, `invoicing up` makes it")
    return Finding("home", OK, f"{home}: nothing runs in it")


def _disk(settings: Settings) -> Finding:
    folder = next(place for place in (settings.home.absolute(), *settings.home.absolute().parents) if place.exists())
    free = shutil.disk_usage(folder).free
    seen = f"{free / 1024**3:.1f} GiB free at {folder}"
    if free < _NEEDED_FREE:
        return Finding(
            "disk",
            BROKEN if free < _NEEDED_FREE // 8 else WARNING,
            seen,
            "Free some space: a full disk stops everything.",
        )
    return Finding("disk", OK, seen)


def _keys_mode(settings: Settings) -> Finding:
    file = keys_file(settings.home)
    if not file.exists():
        return Finding("keys file", OK, f"{file}: not there, which is right where `up` does not run")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return Finding(
            "keys file", BROKEN, f"{file} has mode {mode:04o}", f"Others can read the keys: chmod 600 {file}"
        )
    if not read_keys(settings.home):
        return Finding("keys file", BROKEN, f"{file} holds no keys", "The next `invoicing up` writes it anew.")
    return Finding("keys file", OK, f"{file}, mode {mode:04o}")


def _port(settings: Settings) -> Finding:
    running = RunFile.of(settings.home).read()
    if running is not None:
        url = running["url"]
        if answers(f"{url}/readyz"):
            return Finding("web", OK, f"{url} is ready")
        return Finding("web", BROKEN, f"{url} is not ready", f"See {settings.home / 'logs' / 'web.log'}.")
    try:
        refuse_taken_port(settings.host, settings.port)
    except Fault as fault:
        return Finding("port", WARNING, fault.why, fault.remedy)
    except socket.gaierror:
        return Finding("port", BROKEN, f"{settings.host} is no address of this machine", "Correct INVOICING_HOST.")
    return Finding("port", OK, f"{settings.host}:{settings.port} is free")


def _kinds(settings: Settings) -> Iterator[Finding]:
    """Warm every kind up as a worker does: for invoices, schemas, rules and fonts load, and the rules are proven."""
    given = {"rules_dir": str(settings.rules_dir)} if settings.rules_dir else {}
    try:
        kinds = load_kinds(drills=False)
    except Exception as error:  # noqa: BLE001 - whatever an installed kind raises is the finding
        yield Finding("kinds", BROKEN, f"{type(error).__name__}: {error}", "Put the named entry point right.")
        return
    for kind in kinds.values():
        try:
            kind.warm_up(given)
        except Exception as error:  # noqa: BLE001 - same
            yield Finding(f"kind {kind.name}", BROKEN, f"{type(error).__name__}: {error}", _KIND_REMEDY)
        else:
            yield Finding(f"kind {kind.name}", OK, "warms up: what it needs loads, and what it must refuse it refuses")


_KIND_REMEDY = "Its workers cannot carry it out. Install the service again, and look at INVOICING_RULES_DIR."
