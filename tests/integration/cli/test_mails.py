"""`mails` on the command line, against a running service."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest

from invoicing.cli.command import main
from invoicing.customers.model import Role
from invoicing.kit.listen import plain_url

from .running import key_of, web

Run = Callable[..., tuple[int, str, str]]

ADDRESS = "billing@shop.example.com"


@pytest.fixture
def run(database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(("mails", *arguments))
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    monkeypatch.setenv("INVOICING_SMTP_URL", "smtp://mail.internal")
    monkeypatch.setenv("INVOICING_MAIL_FROM", "invoicing@example.com")
    with web(database_url) as url:
        monkeypatch.setenv("INVOICING_URL", url)
        monkeypatch.setenv("INVOICING_KEY", key_of(database_url, Role.CUSTOMER))
        yield call


def code_sent(database_url: str) -> str:
    """Read the code out of the mail that waits to be handed in."""

    async def read() -> Any:
        connection = await asyncpg.connect(plain_url(database_url))
        try:
            return await connection.fetchval("SELECT body FROM messages ORDER BY id DESC LIMIT 1")
        finally:
            await connection.close()

    return str(json.loads(asyncio.run(read()))["data"]["code"])


def test_an_address_from_its_addition_to_its_removal(run: Run, database_url: str) -> None:
    assert "No mail address" in run("list")[1]
    code, told, error = run("add", ADDRESS, "--language", "de", "--event", "job.dead")
    assert code == 0, error
    assert f"mails confirm {ADDRESS}" in told
    assert "unconfirmed" in run("list")[1]
    code, told, error = run("confirm", ADDRESS, "AAAAAAAA")
    assert code != 0
    assert "code" in error
    code, told, error = run("confirm", ADDRESS, code_sent(database_url))
    assert code == 0, error
    assert "told of job.dead" in told
    (one,) = json.loads(run("list", "--json")[1])["items"]
    assert (one["status"], one["language"]) == ("working", "de")
    (sent,) = json.loads(run("deliveries", one["id"][-12:], "--json")[1])["items"]
    assert sent["id"] in run("deliveries", ADDRESS)[1]
    code, _, told = run("resend", ADDRESS, sent["id"])
    assert code == 1
    assert "send-code" in told
    assert json.loads(run("remove", ADDRESS, "--json")[1]) == {"removed": one["id"]}
    assert json.loads(run("list", "--json")[1])["items"] == []


def test_an_address_that_is_not_known_is_named_with_the_way_to_see_them(run: Run) -> None:
    code, _, told = run("send-code", "nobody@shop.example.com")
    assert code == 2
    assert "nobody@shop.example.com" in told
    assert "mails list" in told
