"""`keys` works on the database alone, so that nobody is locked out."""

import asyncio
import json
from collections.abc import Callable

import pytest

from invoicing.cli.command import main
from invoicing.customers import service as customers
from invoicing.kit.clock import now
from invoicing.kit.db import make_engine, transaction

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("INVOICING_DATABASE_URL", database_url)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


def works(database_url: str, key: str) -> bool:
    async def ask() -> bool:
        engine = make_engine(database_url)
        found = await customers.Keys(engine).recognise(key, now())
        await engine.dispose()
        return found is not None

    return asyncio.run(ask())


def add_customer(database_url: str) -> None:
    async def add() -> None:
        engine = make_engine(database_url)
        async with transaction(engine) as session:
            await customers.ensure_customer(session, "acme", "Acme AG")
        await engine.dispose()

    asyncio.run(add())


def test_a_key_works_from_its_creation_until_it_is_revoked(run: Run, database_url: str) -> None:
    add_customer(database_url)
    code, key, _ = run("keys", "create", "--role", "customer", "--customer", "acme", "--label", "shop")
    assert code == 0
    assert works(database_url, key.strip())
    _, listed, _ = run("keys", "list", "--json")
    assert key.strip() not in listed
    (one,) = json.loads(listed)["items"]
    assert (one["customer"], one["label"], one["condition"]) == ("acme", "shop", "works")
    code, said, _ = run("keys", "revoke", one["hint"])
    assert code == 0, said
    assert not works(database_url, key.strip())
    assert run("keys", "revoke", one["id"])[0] == 1
    assert "revoked" in run("keys", "list")[1]


def test_an_expired_key_is_shown_as_such(run: Run) -> None:
    _, key, _ = run("keys", "create", "--role", "ops", "--label", "pager", "--expires", "90d", "--json")
    assert json.loads(key)["expires_at"] is not None
    assert "works until" in run("keys", "list")[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--role", "customer", "--label", "x"], "Name the customer's slug"),
        (["--role", "customer", "--label", "x", "--customer", "nobody"], "no customer 'nobody'"),
        (["--role", "ops", "--label", "x", "--customer", "acme"], "for none"),
    ],
)
def test_a_key_that_would_belong_to_nobody_is_refused(run: Run, arguments: list[str], says: str) -> None:
    code, _, told = run("keys", "create", *arguments)
    assert code == 1
    assert says in told
