"""`webhooks` on the command line, against a running service."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from invoicing.cli.command import main
from invoicing.customers import service as customers
from invoicing.customers.model import Role
from invoicing.kit.db import make_engine, transaction

Run = Callable[..., tuple[int, str, str]]

CODE = "from invoicing.app.web import serve; from invoicing.settings import read; serve(read())"
ADDRESS = "https://hooks.example.com/in"


def a_key(database_url: str) -> str:
    async def make() -> str:
        engine = make_engine(database_url)
        async with transaction(engine) as session:
            acme = await customers.ensure_customer(session, "acme", "Acme AG")
            key = await customers.create_key(session, Role.CUSTOMER, "shop", acme.id)
        await engine.dispose()
        return key

    return asyncio.run(make())


@pytest.fixture
def run(database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    settings = {"INVOICING_DATABASE_URL": database_url, "INVOICING_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-c", CODE], env=os.environ | settings)
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("INVOICING_URL", url)
    monkeypatch.setenv("INVOICING_KEY", a_key(database_url))
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.1)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(("webhooks", *arguments))
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    yield call
    process.terminate()
    assert process.wait(30) in {0, -15}


def test_a_webhook_from_its_addition_to_its_removal(run: Run) -> None:
    assert "no webhooks" in run("list")[1]
    code, secret, told = run("add", ADDRESS, "--event", "job.dead", "--description", "the [shop]")
    assert (code, secret[:6]) == (0, "whsec_"), told
    assert "not shown again" in told
    _, listed, _ = run("list")
    assert all(word in listed for word in (ADDRESS, "job.dead", "working", "the [shop]"))
    assert "whsec_" not in listed
    (one,) = json.loads(run("list", "--json")[1])["items"]
    code, sent, told = run("test", one["id"][-12:])
    assert code == 0, told
    assert "webhook.test" in sent
    (delivery,) = json.loads(run("deliveries", ADDRESS, "--json")[1])["items"]
    assert delivery["id"] in sent
    assert delivery["id"] in run("deliveries", ADDRESS, "--state", "waiting")[1]
    assert run("resend", ADDRESS, delivery["id"])[0] == 0
    code, rotated, _ = run("rotate-secret", one["id"])
    assert (code, rotated[:6]) == (0, "whsec_")
    assert rotated != secret
    assert "has messages again" in run("enable", ADDRESS)[1]
    assert json.loads(run("remove", ADDRESS, "--json")[1]) == {"removed": one["id"]}
    assert json.loads(run("list", "--json")[1])["items"] == []


def test_what_is_refused_says_what_to_do(run: Run) -> None:
    code, _, told = run("add", "https://127.0.0.1/in")
    assert code == 1
    assert "public internet" in told
    code, _, told = run("test", "https://nowhere.example.com/")
    assert code == 2
    assert "webhooks list" in told
