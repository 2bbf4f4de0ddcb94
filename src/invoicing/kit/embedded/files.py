"""The small files an embedded server keeps beside its data: written whole or not at all, private to their owner."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServerFiles:
    """Where one server keeps what in the home folder."""

    home: Path
    name: str

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.home / self.name

    @property
    def unfinished(self) -> Path:
        """The data folder while it is being made; a leftover means that the making was cut off."""
        return self.home / f"{self.name}.unfinished"

    @property
    def password(self) -> Path:
        """Its password, mode 0600."""
        return self.home / f"{self.name}.password"

    @property
    def port(self) -> Path:
        """The port it had last."""
        return self.home / f"{self.name}.port"

    @property
    def lock(self) -> Path:
        """Locked by the server's processes while any of them lives; holds the pid of the first."""
        return self.home / f"{self.name}.lock"

    @property
    def log(self) -> Path:
        """What it writes, appended over all its runs."""
        return self.home / "logs" / f"{self.name}.log"


def new_secret() -> str:
    """Make a password of 192 random bits that needs no quoting in SQL, URLs or configuration files."""
    return secrets.token_urlsafe(24)


def read_text(path: Path) -> str | None:
    """Read a small file; None when it is missing or empty."""
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def write_text(path: Path, text: str) -> None:
    """Replace a small file in one step (mode 0600), and make it last through a power cut."""
    draft = path.with_name(f"{path.name}.draft")
    with suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make a rename inside the folder last through a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
