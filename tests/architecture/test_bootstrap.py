"""`make` on a bare machine finds a Python it can use, or says what to install."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASE = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
TOOLS = ("sh", "make", "sed", "tail", "dirname", "rm")
SWITCHED_OFF = "#!/bin/sh\necho 'this version is not installed' >&2\nexit 127\n"
TOO_OLD = "#!/bin/sh\nexit 1\n"
WITHOUT_VENV = f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec "{BASE}" "$@"\n'
USABLE = f'#!/bin/sh\nexec "{BASE}" "$@"\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Make a tree with spaces in its path, and nothing but the basic tools beside it."""
    folder = tmp_path / "a folder" / "invoicing"
    folder.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / name)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tools / tool).symlink_to(found)
    return folder


def make(clone: Path, target: str, **pythons: str) -> subprocess.CompletedProcess[str]:
    tools = clone.parent.parent / "bin"
    for name, script in pythons.items():
        (tools / name.replace("_", ".")).write_text(script)
        (tools / name.replace("_", ".")).chmod(0o755)
    # No registry: what comes after the choice of a Python is not under test here.
    environment = {"PATH": str(tools), "HOME": str(clone.parent), "PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}
    return subprocess.run(["make", target], cwd=clone, env=environment, capture_output=True, text=True, check=False)


def test_no_target_lists_the_targets(clone: Path) -> None:
    (clone.parent.parent / "bin" / "expand").symlink_to(str(shutil.which("expand")))
    listed = make(clone, "help").stdout
    assert all(f"make {target} " in listed for target in ("run", "test", "check", "bench", "lock", "clean"))


@pytest.mark.parametrize("there", [{}, {"python3": TOO_OLD}, {"python3_13": SWITCHED_OFF}])
def test_without_a_python_it_says_which_one_is_needed(clone: Path, there: dict[str, str]) -> None:
    result = make(clone, "run", **there)
    assert result.returncode != 0
    assert "No Python >= 3.11 found" in result.stderr


def test_without_ensurepip_it_says_what_to_install(clone: Path) -> None:
    result = make(clone, "run", python3=WITHOUT_VENV)
    assert result.returncode != 0
    assert f"apt install python{sys.version_info.major}.{sys.version_info.minor}-venv" in result.stderr


def test_a_python_that_is_switched_off_or_incomplete_is_passed_over(clone: Path) -> None:
    result = make(clone, "run", python3_13=SWITCHED_OFF, python3_12=WITHOUT_VENV, python3=USABLE)
    assert "Preparing .venv with Python" in result.stderr
    assert (clone / ".venv" / "bin" / "python").exists()


def test_what_is_installed_is_not_installed_again(clone: Path) -> None:
    ready = clone / ".venv" / "bin"
    ready.mkdir(parents=True)
    (ready / "invoicing").write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    (ready / "invoicing").chmod(0o755)
    (clone / ".venv" / ".run").touch()
    result = make(clone, "run")
    assert (result.stdout, result.stderr, result.returncode) == ("up|", "", 0)


def test_a_changed_lock_is_installed(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".run").touch()
    later = (clone / ".venv" / ".run").stat().st_mtime + 10
    os.utime(clone / "requirements" / "run.lock", (later, later))
    assert "No Python >= 3.11 found" in make(clone, "run").stderr
