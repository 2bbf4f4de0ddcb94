"""What can keep an embedded server from starting, in words that say what to do."""

from pathlib import Path

_REMEDIES = (
    ("No space left on device", "The disk is full: free some space and start again; nothing was lost."),
    ("Disk quota exceeded", "The disk quota is used up: free some space and start again; nothing was lost."),
    ("Read-only file system", "The folder is on a read-only file system: choose another home folder."),
    (
        "Permission denied",
        "Something in the folder belongs to another user: give it back, or choose another home folder.",
    ),
    ("Cannot allocate memory", "Memory is short: stop other programs, or use a server of your own."),
    ("could not resize shared memory", "Shared memory is short: give the container a larger --shm-size."),
    ("could not locate a valid checkpoint", "The data is damaged: restore a backup, or choose another home folder."),
    ("invalid page in block", "The data is damaged: restore a backup, or choose another home folder."),
    ("Bad file format reading the append only file", "The data is damaged: move its folder away and start again."),
    ("effective user ID", "This user has no entry in /etc/passwd: start as one that has, or use a server of your own."),
    ("another server might be running", "End the `postgres` that was started by hand on this folder."),
    ("is still in use", "End the `postgres` processes left over from an earlier run, then start again."),
)
"""What servers write to their logs, and what a person does about it."""


class EmbeddedServerError(Exception):
    """An embedded server cannot run; the message says why and what to do."""


class HomeInUseError(EmbeddedServerError):
    """Another process keeps its data in this home folder; the message names it."""


class PortTakenError(EmbeddedServerError):
    """Somebody else took the port between its choice and its use."""


def refused(what: str, output: str, log_file: Path) -> EmbeddedServerError:
    """Explain what went wrong, as in "PostgreSQL did not start", from what a server wrote before it ended."""
    remedy = next((remedy for sign, remedy in _REMEDIES if sign in output), f"Its log may say more: {log_file}")
    last = "\n  ".join(output.strip().splitlines()[-5:]) or "(it wrote nothing)"
    return EmbeddedServerError(f"{what}. {remedy}\n  {last}")
