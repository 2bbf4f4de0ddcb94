"""The home folder: one process at a time keeps its servers in it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from invoicing.kit.embedded.errors import EmbeddedServerError, HomeInUseError

_PID_IS_WRITTEN_WITHIN = 0.2  # seconds; the winner of the lock writes its pid right after taking it


@dataclass(frozen=True)
class Home:
    """A home folder that this process holds; only `hold` makes one."""

    path: Path


@contextmanager
def hold(path: Path) -> Iterator[Home]:
    """Hold a home folder, made if missing (mode 0700), until the block ends or the process does, however it ends.

    Raises `HomeInUseError`, naming the process, when another one holds it.
    """
    descriptor = _open(path / "lock")
    try:
        _take(descriptor, path)
        _sign(descriptor, path)
        yield Home(path.resolve())
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)  # also lets go of the lock


def _open(lock: Path) -> int:
    try:
        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise EmbeddedServerError(
            f"cannot keep data in {lock.parent}: {error.strerror}. Choose a folder you may write to with --home."
        ) from error


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(descriptor)
        raise HomeInUseError(
            f"{path} is in use by process {holder}. Stop that one first (Ctrl-C where it runs, or `kill {holder}`), "
            "or choose another folder with --home."
        ) from None
    except OSError as error:
        raise EmbeddedServerError(
            f"the file system of {path} cannot lock files ({error.strerror}). "
            "Choose a folder on a local disk with --home."
        ) from error


def _sign(descriptor: int, path: Path) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise EmbeddedServerError(
            f"cannot write to {path}: {error.strerror}. Free some space and start again."
        ) from error


def _holder(descriptor: int) -> str:
    for _ in range(2):
        time.sleep(_PID_IS_WRITTEN_WITHIN / 2)
        with suppress(ValueError):
            return str(int(os.pread(descriptor, 32, 0)))
    return "(unknown)"
