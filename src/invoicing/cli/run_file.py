"""`run.json`: what runs where, for people's tools; it is there exactly while the service answers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invoicing.kit.embedded.files import write_text


@dataclass(frozen=True)
class RunFile:
    """The file of one home folder (mode 0600: the URLs hold passwords)."""

    path: Path

    @classmethod
    def of(cls, home: Path) -> "RunFile":
        """Name the file of a home folder."""
        return cls(home / "run.json")

    def write(
        self,
        url: str,
        database_url: str,
        redis_url: str,
        processes: Sequence[tuple[str, str, int]],
        metrics: Mapping[str, str],
    ) -> None:
        """Replace it in one step; `processes` are (name, role, pid), `metrics` URLs by name."""
        told = {
            "url": url,
            "database_url": database_url,
            "redis_url": redis_url,
            "processes": [
                {"name": name, "role": role, "pid": pid} | ({"metrics": metrics[name]} if name in metrics else {})
                for name, role, pid in processes
            ],
        }
        write_text(self.path, json.dumps(told, indent=2))

    def read(self) -> dict[str, Any] | None:
        """Read it; None when it is not there or is not ours."""
        try:
            told = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return told if isinstance(told, dict) and isinstance(told.get("url"), str) else None

    def remove(self) -> None:
        """Say that nothing runs any more."""
        self.path.unlink(missing_ok=True)
