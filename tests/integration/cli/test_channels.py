"""`channels` on the command line, against a running service."""

import io
import json

import pytest

from invoicing.cli.command import main
from invoicing.customers.model import Role

from .running import key_of, web

ROUTING_KEY = "a" * 32


def test_a_channel_from_its_addition_to_its_removal(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main(("channels", *arguments))
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    with web(database_url) as url:
        monkeypatch.setenv("INVOICING_URL", url)
        monkeypatch.setenv("INVOICING_KEY", key_of(database_url, Role.OPS))
        assert "Nobody is told" in run("list")[1]
        code, said, told = run("add", "pagerduty", "night [shift]", "-", "--least", "S2", stdin=f"{ROUTING_KEY}\n")
        assert (code, "Added night [shift]" in said) == (0, True), told
        code, secret, _ = run("add", "webhook", "pager", "https://hooks.example.com/in")
        assert (code, secret[:6]) == (0, "whsec_")
        _, listed, _ = run("list")
        assert all(word in listed for word in ("night [shift]", "pagerduty", "S2", "working", "hooks.example.com"))
        assert ROUTING_KEY not in listed
        assert "/pagerduty" in run("trust", "night [shift]", "-", stdin="s" * 20)[1]
        pagerduty, webhook = json.loads(run("list", "--json")[1])["items"]
        assert (pagerduty["acknowledges"], webhook["acknowledges"]) == (True, False)
        code, _, told = run("test", "pager", "--wait", "0")
        assert (code, "is a watchdog running?" in told) == (1, True), told
        assert "alert.test" in run("deliveries", "pager")[1]
        (delivery,) = json.loads(run("deliveries", "pager", "--json")[1])["items"]
        assert run("resend", "pager", delivery["id"])[0] == 0
        assert run("remove", webhook["id"][-12:])[0] == 0
        code, _, told = run("test", "pager")
        assert (code, "channels list" in told) == (2, True)
        assert run("add", "mail", "x", "oncall@example.com")[0] == 1, "this service sends no mails"
