"""Programs for a user who cannot reach the installed ones: copied whole, trusted only where nobody else can write."""

import os
import subprocess
from pathlib import Path

import pytest

from invoicing.kit.embedded import EmbeddedServerError, binaries, postgres
from invoicing.kit.embedded.account import Account


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder for copies the only one, and the installed programs out of reach."""
    shelf = tmp_path / "shelf"
    monkeypatch.setattr(binaries, "_shelves", lambda: (shelf,))
    monkeypatch.setattr(binaries, "_runs", lambda program, _: program.is_relative_to(shelf))
    return shelf


def test_a_copy_of_the_programs_runs_and_is_made_once(shelf: Path) -> None:
    initdb = postgres._program("initdb", Account(1, 1))
    made = initdb.stat().st_mtime_ns

    assert postgres._program("initdb", Account(1, 1)).stat().st_mtime_ns == made
    server = postgres._program("postgres", Account(1, 1))
    assert len(list(shelf.iterdir())) == 1
    for program in (initdb, server):
        shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        assert "(PostgreSQL) 18" in shown.stdout


def test_nobody_but_its_owner_can_write_to_a_copy(shelf: Path) -> None:
    old = os.umask(0)
    try:
        postgres._program("initdb", Account(1, 1))
    finally:
        os.umask(old)

    assert not [path for path in (shelf, *shelf.rglob("*")) if path.stat().st_mode & 0o022]


def test_a_copy_under_a_strict_umask_can_be_read_by_all(shelf: Path) -> None:
    old = os.umask(0o077)
    try:
        postgres._program("initdb", Account(1, 1))
    finally:
        os.umask(old)

    assert all(path.stat().st_mode & 0o044 == 0o044 for path in (shelf, *shelf.rglob("*")))


def test_a_shelf_that_others_can_write_to_is_refused(shelf: Path) -> None:
    shelf.mkdir()
    shelf.chmod(0o777)

    with pytest.raises(EmbeddedServerError, match="programs are not run from there"):
        postgres._program("initdb", Account(1, 1))


def test_a_shelf_that_leads_elsewhere_is_refused(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    shelf.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(EmbeddedServerError, match="programs are not run from there"):
        postgres._program("initdb", Account(1, 1))
