"""Prometheus' own tool, where it is installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def promtool(*arguments: str, folder: Path) -> str:
    """Run it; skipped where it is not there, which CI does not take for granted."""
    if shutil.which("promtool") is None:
        missing = "`promtool` is not installed (Debian's package prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{missing}: install it")
        pytest.skip(missing)
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
