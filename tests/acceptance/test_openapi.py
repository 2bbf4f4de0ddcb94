"""Every operation keeps what the OpenAPI document says of it, whatever it is sent."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from invoicing.customers import service as customers
from invoicing.customers.model import Role
from invoicing.kit.db import make_engine, transaction

EXAMPLES = 8
CODE = "from invoicing.app.web import serve; from invoicing.settings import read; serve(read())"

CONFIG = """
[generation]
max-examples = {examples}
deterministic = true

[checks]
# what a schema cannot say (a lane that is not paused, a VAT id's check digit, a key used twice) is refused by rule
positive_data_acceptance.expected-statuses = ["2xx", 304, 400, 401, 403, 404, 406, 409, 410, 413, 415, 416, 422]
"""


HOOKS = """
import json
import schemathesis

@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()

@schemathesis.serializer("text/calendar")
def calendar(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()
"""

# staff's operations again as those who may use them; a customer meets 403 there. By two, as each has its rate
PATHS = {
    "customer": "^/",
    "admin": "^/metrics|^/v1/(lanes|workers|admin|scheduling|support)",
    "ops": "^/v1/(incidents|channels|maintenance|rota)",
}


@pytest.fixture
def keys(database_url: str) -> dict[str, str]:
    async def make() -> dict[str, str]:
        engine = make_engine(database_url)
        async with transaction(engine) as session:
            acme = await customers.add_customer(session, "acme", "Acme", 1e6, 1_000_000)
            made = {
                "customer": await customers.create_key(session, Role.CUSTOMER, "acme", acme.id),
                "admin": await customers.create_key(session, Role.ADMIN, "admin"),
                "ops": await customers.create_key(session, Role.OPS, "ops"),
            }
        await engine.dispose()
        return made

    return asyncio.run(make())


@pytest.fixture
def url(database_url: str) -> Iterator[str]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = os.environ | {
        "INVOICING_DATABASE_URL": database_url,
        "INVOICING_DRILLS": "1",
        "INVOICING_PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-c", CODE], env=environment)
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.1)
    yield url
    process.terminate()
    assert process.wait(30) in {0, -15}


def operations(schema: dict[str, dict[str, dict[str, dict[str, object]]]]) -> set[str]:
    return {f"{method.upper()} {path}" for path, methods in schema["paths"].items() for method in methods}


@pytest.mark.parametrize("who", PATHS)
def test_every_operation_keeps_its_word(who: str, url: str, keys: dict[str, str], tmp_path: Path) -> None:
    key = keys[who]
    body = {"kind": "drill", "payload": {"seconds": 1}}
    for number in range(3):
        headers = {"Authorization": f"Bearer {keys['customer']}", "Idempotency-Key": f"known-{number}"}
        assert httpx.post(f"{url}/v1/jobs", json=body, headers=headers).status_code == 202
    (tmp_path / "hooks.py").write_text(HOOKS)
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(examples=EXAMPLES))
    tool = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [
            tool, "--config-file", config, "run", f"{url}/openapi.json",
            "--header", f"Authorization: Bearer {key}",
            "--include-path-regex",
            PATHS[who],
            "--mode", "all", "--phases", "examples,coverage,fuzzing",
            "--exclude-checks", "ignored_auth", "--continue-on-failure", "--no-color",
        ],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(tmp_path), "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    schema = httpx.get(f"{url}/openapi.json").json()
    selected = sum(1 for operation in operations(schema) if re.match(PATHS[who], operation.split()[1]))
    assert f"{selected} selected / {len(operations(schema))} total" in done.stdout
    assert selected == len(operations(schema)) or who != "customer"
