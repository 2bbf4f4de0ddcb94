"""A base backup and the archived log bring a ledger back to any moment: here to the one before a mistake."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import alembic.command
import pytest
from sqlalchemy import text

from invoicing.cli.verify import check
from invoicing.kit.db import make_engine
from invoicing.kit.embedded import EmbeddedPostgres, hold, postgres, process
from invoicing.kit.embedded.account import Account, account_for, make_folder
from invoicing.kit.embedded.process import Command, Surroundings
from invoicing.kit.embedded.server import working_folder

from ..ledger.test_schema import migrate
from ..workers.crew import until
from .conftest import Archive


def belongs_to(folder: Path, account: Account | None) -> None:
    """Give a folder and all that is in it to the server's user."""
    for path in (folder, *folder.rglob("*")):
        if account is not None:
            os.chown(path, account.uid, account.gid)
    folder.chmod(0o700)


class Disaster:
    """Two homes of servers: one whose log is archived, and one into which its backup is restored."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        folder.chmod(0o711)  # the server's user passes through, to the archive
        self.archive, self.base = folder / "archive", folder / "base"
        self.first = EmbeddedPostgres(stack.enter_context(hold(folder / "first")), "invoicing")
        self.second = EmbeddedPostgres(stack.enter_context(hold(folder / "second")), "invoicing")
        stack.callback(self.first.stop)
        stack.callback(self.second.stop)

    def begin(self) -> str:
        """Start a server that archives its log, and whose role may take a base backup; gives its URL."""
        self.first.start()
        self.first.stop()
        self.account = account_for(self.first.files.data)
        make_folder(self.archive, self.account)
        lock = process.claim(self.first.files.lock, self.first.programs, self.first.escalation)
        around = Surroundings(self.first.files.data, self.account, lock, signal.SIGINT)
        single = ("--single", "-D", working_folder(around.folder), "postgres")
        program = postgres._program("postgres", self.account)
        code, output = process.run(Command(program, single, stdin=b"ALTER ROLE invoicing REPLICATION\n"), around)
        os.close(lock)
        assert code == 0, output
        return self.first.start()

    def back_up(self, url: str) -> None:
        """Take a base backup of the running server."""
        program = str(postgres._program("pg_basebackup", None))
        command = [program, f"--pgdata={self.base}", "--checkpoint=fast", f"--dbname={url}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def restore(self, until: str) -> str:
        """Start from the base backup and the archive, up to a moment; gives the URL."""
        data = self.second.files.data
        shutil.copytree(self.base, data)
        shutil.copy(self.first.files.password, self.second.files.password)
        (data / "recovery.signal").touch()
        with (data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"restore_command = 'cp {self.archive}/%f %p'\n")
            settings.write(f"recovery_target_time = '{until}'\nrecovery_target_action = 'promote'\n")
        belongs_to(data, self.account)
        return self.second.start()


async def promoted(url: str) -> None:
    """Wait until a server that was restored takes writes: it answers before."""
    engine = make_engine(url)

    async def it_does() -> bool:
        async with engine.connect() as session:
            return not await session.scalar(text("SELECT pg_is_in_recovery()"))

    await until(it_does)
    await engine.dispose()


@pytest.fixture
def disaster(roomy_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disaster]:
    archive = roomy_path / "archive"
    monkeypatch.setitem(postgres._SETTINGS, "archive_mode", "on")
    monkeypatch.setitem(postgres._SETTINGS, "archive_command", f"test ! -f {archive}/%f && cp %p {archive}/%f")
    with ExitStack() as stack:
        yield Disaster(roomy_path, stack)


async def test_a_ledger_comes_back_as_it_was_before_a_mistake_and_goes_on_with_the_next_number(
    disaster: Disaster,
) -> None:
    url = disaster.begin()
    migrate(url, alembic.command.upgrade, "head")
    first = await Archive.open(make_engine(url))
    assert (await first.issue(timedelta(0)))[1] == "2026-000001"
    disaster.back_up(url)
    assert (await first.issue(timedelta(0)))[1] == "2026-000002"
    unfinished = await first.submit()
    moment = await first.scalar("SELECT clock_timestamp()::text")
    await first.do("UPDATE invoices SET number = 'oops'")
    await first.do("DELETE FROM timeline")
    assert (await check(url, "-")).codes
    await first.engine.dispose()
    disaster.first.stop()  # the end of its log reaches the archive

    restored = disaster.restore(moment)
    await promoted(restored)
    verdict = await check(restored, "-")
    assert verdict.told == []
    assert (verdict.jobs.total(), verdict.invoices) == (3, 2)
    second = await Archive.open(make_engine(restored))
    assert [claim.id for claim in await second.claim(unfinished, await second.release())] == [unfinished]
    assert (await second.issue(timedelta(0)))[1] == "2026-000003"
    assert (await check(restored, "-")).told == []
    await second.engine.dispose()
