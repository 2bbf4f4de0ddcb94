"""The page for customers says what holds, and what it offers for pasting works."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from invoicing.outbox.model import TEST, WebhookEvent, new_secret, signature

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
ID = UUID("0199a3c2-0000-7000-8000-000000000000")
BODY = '{"type": "job.succeeded", "note": "süß"}'.encode()

Verified = Callable[[str, Mapping[str, str], bytes], bool]


def snippet(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def in_python(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    names: dict[str, Any] = {}
    exec(snippet("python"), names)
    return bool(names["verified"](secret, headers, body))


def in_node(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    call = f"verified({json.dumps(secret)}, {json.dumps(headers)}, Buffer.from({json.dumps(body.hex())}, 'hex'))"
    script = f"{snippet('js')}\nprocess.stdout.write(String({call}));"
    done = subprocess.run(["node", "-"], input=script, capture_output=True, text=True, check=True)
    return {"true": True, "false": False}[done.stdout]


@pytest.mark.parametrize(
    "verified",
    [
        in_python,
        pytest.param(in_node, marks=pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")),
    ],
)
def test_what_is_offered_for_pasting_verifies_what_we_sign_and_nothing_else(verified: Verified) -> None:
    new, old, now = new_secret(), new_secret(), int(time.time())

    def headers(at: int) -> dict[str, str]:
        signed = signature([new, old], ID, at, BODY)
        return {"webhook-id": str(ID), "webhook-timestamp": str(at), "webhook-signature": signed}

    assert verified(new, headers(now), BODY)
    assert verified(old, headers(now), BODY), "during a rotation either will do"
    assert not verified(new_secret(), headers(now), BODY)
    assert not verified(new, headers(now), BODY + b" ")
    assert not verified(new, headers(now) | {"webhook-id": str(UUID(int=7))}, BODY)
    assert not verified(new, headers(now) | {"webhook-timestamp": str(now + 1)}, BODY)
    assert not verified(new, headers(now - 3600), BODY), "a replay"
    assert not verified(new, headers(now) | {"webhook-signature": "v1,"}, BODY)


@pytest.mark.parametrize("event", [*WebhookEvent, TEST])
def test_the_page_names_every_event(event: str) -> None:
    assert f"| `{event}` |" in PAGE
