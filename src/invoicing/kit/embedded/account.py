"""Under which user a server runs: PostgreSQL refuses root, and a server needs no more rights than its data asks for."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from invoicing.kit.embedded.errors import EmbeddedServerError

UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Account:
    """A user and group that root becomes before it executes a server."""

    uid: int
    gid: int


def account_for(data: Path) -> Account | None:
    """Return who runs the server over a data folder that may not exist yet; None means whoever asks.

    Root hands over to the owner of the data or, for new data, to `nobody`. No user is ever created.
    """
    try:
        found = data.stat()
    except FileNotFoundError:
        return _unprivileged() if os.geteuid() == 0 else None
    except PermissionError as error:
        raise EmbeddedServerError(f"{data} cannot be looked into by this user: start as its owner.") from error
    if os.geteuid() == 0:
        return _unprivileged() if found.st_uid == 0 else Account(found.st_uid, found.st_gid)
    if found.st_uid != os.geteuid():
        raise EmbeddedServerError(
            f"{data} belongs to {_name(found.st_uid)}, not to this user. Start as root or as {_name(found.st_uid)}, "
            "or choose another folder with --home."
        )
    return None


def make_folder(path: Path, account: Account | None) -> None:
    """Make a private folder (mode 0700) that the account owns; one that root made and left empty is handed over."""
    path.mkdir(mode=0o700, exist_ok=True)
    if account is None or path.stat().st_uid == account.uid:
        return
    if any(path.iterdir()):
        raise EmbeddedServerError(
            f"{path} is not empty and belongs to root, under which no server runs. Move it away, or give it to an "
            f"unprivileged user (`chown -R {UNPRIVILEGED}`)."
        )
    os.chown(path, account.uid, account.gid)


def _unprivileged() -> Account:
    try:
        found = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise EmbeddedServerError(
            f"this machine has no user `{UNPRIVILEGED}`, and PostgreSQL refuses to run as root. "
            "Start as an ordinary user."
        ) from None
    return Account(found.pw_uid, found.pw_gid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
