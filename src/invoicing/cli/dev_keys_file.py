"""Where the keys of this machine are, and which are there (apart from `dev_keys`, which needs the database)."""

import json
from pathlib import Path


def keys_file(home: Path) -> Path:
    """Name the file of a home folder."""
    return home / "dev-keys.json"


def read_keys(home: Path) -> dict[str, str]:
    """Read the keys that are there; a file that cannot be understood holds none."""
    try:
        told = json.loads(keys_file(home).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(told, dict):
        return {}
    return {role: key for role, key in told.items() if isinstance(role, str) and isinstance(key, str)}
