"""`webhooks` on the command line, against a running service."""

import json
from collections.abc import Callable, Iterator

import pytest

from invoicing.cli.command import main
from invoicing.customers.model import Role

from .running import key_of, web

Run = Callable[..., tuple[int, str, str]]

ADDRESS = "https://hooks.example.com/in"


@pytest.fixture
def run(database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(("webhooks", *arguments))
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    with web(database_url) as url:
        monkeypatch.setenv("INVOICING_URL", url)
        monkeypatch.setenv("INVOICING_KEY", key_of(database_url, Role.CUSTOMER))
        yield call


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
