"""The documented example kind, added as the one file that the page says, does what the page says."""

import asyncio
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from invoicing.customers import service as customers
from invoicing.customers.model import Role
from invoicing.kit.db import make_engine, transaction

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-a-kind.md").read_text("utf-8")
STATEMENT: dict[str, Any] = {
    "opening": "100.00",
    "closing": "1000.00",
    "invoices": [{"number": "A-1", "payable": "300.00"}, {"number": "A-2", "payable": "400.00"}],
    "payments": [
        {"booked": "2026-11-20", "amount": "300.00", "text": "for A-1 thanks"},
        {"booked": "2026-11-21", "amount": "399.00", "text": "A-2"},
        {"booked": "2026-11-22", "amount": "201.00", "text": "rent"},
    ],
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what the checks and the processes read, and add the page's one file."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("src", "migrations"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", ".importlinter", "alembic.ini"):
        shutil.copy(ROOT / name, tree)
    found = re.search(r"^```python\n# (src/workers/kinds/\w+\.py)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, "the page shows a file"
    added = tree / found[1]
    assert not added.exists()
    added.write_text(found[2], "utf-8")
    return tree


def environment(tree: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree / "src"), **more}


@pytest.mark.parametrize(
    "check",
    [
        ("ruff", "check", "src/workers/kinds"),
        ("ruff", "format", "--check", "src/workers/kinds"),
        ("mypy", "src/workers/kinds"),
        ("lint-imports", "--no-cache"),
    ],
    ids=lambda check: check[0] + check[1],
)
def test_the_example_is_in_the_style_of_the_house(check: tuple[str, ...], tree: Path) -> None:
    tool = Path(sys.executable).with_name(check[0])
    done = subprocess.run(
        [tool, *check[1:]], cwd=tree, env=environment(tree), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Client(httpx.Client):
    """A customer of the service that runs with the added kind."""

    def submit(self, **changes: object) -> httpx.Response:
        body = {"kind": "payments.match", "payload": {**STATEMENT, **changes}}
        return self.post("/v1/jobs", json=body, headers={"Idempotency-Key": uuid4().hex})

    def finish(self, job: str) -> dict[str, Any]:
        until = time.monotonic() + 90
        while time.monotonic() < until:
            read: dict[str, Any] = self.get(f"/v1/jobs/{job}", headers={"Prefer": "wait=10"}).json()
            if read["state"] in {"succeeded", "dead"}:
                return read
            time.sleep(0.1)
        raise TimeoutError(f"the job is still {read['state']}: {read['cause']}")


@pytest.fixture
def client(tree: Path, database_url: str, redis_url: str) -> Iterator[Client]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    around = environment(tree, INVOICING_DATABASE_URL=database_url, INVOICING_REDIS_URL=redis_url, INVOICING_PORT=port)
    key = asyncio.run(_key(database_url))
    with ExitStack() as stack:
        for role in ("web", "dispatcher", "worker"):
            stack.enter_context(_process(role, tree, around))
        url, headers = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {key}"}
        client = stack.enter_context(Client(base_url=url, headers=headers, timeout=30))
        _until_ready(client)
        yield client


async def _key(url: str) -> str:
    engine = make_engine(url)
    async with transaction(engine) as session:
        customer = await customers.ensure_customer(session, "acme", "Acme")
        key = await customers.create_key(session, Role.CUSTOMER, "acme", customer.id)
    await engine.dispose()
    return key


@contextmanager
def _process(role: str, tree: Path, around: dict[str, str]) -> Iterator[None]:
    """Run a process of the service from the tree: there, its children find the added file too."""
    process = subprocess.Popen([sys.executable, "-m", "invoicing.cli", role], cwd=tree / "src", env=around)
    try:
        yield
        assert process.poll() is None, f"{role} ended with code {process.returncode}"
    finally:
        process.terminate()
        process.wait(30)


def _until_ready(client: Client) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if client.get("/readyz").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError("the web process is not ready")


def test_one_file_is_all_that_a_new_kind_needs(client: Client) -> None:
    kinds = client.get("/v1/kinds").json()["items"]
    assert "payments.match" in {kind["kind"] for kind in kinds}
    kind = client.get("/v1/kinds/payments.match").json()
    assert set(kind["payload_schema"]["properties"]) == {"opening", "closing", "invoices", "payments"}

    answer = client.submit()
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    job = client.finish(answer.json()["id"])
    assert job["state"] == "succeeded", job["error"]
    assert job["result"] == {"payments": 3, "paid": 1}
    assert job["progress"] == {"done": 3, "total": 3, "unit": "payments"}
    (artifact,) = job["artifacts"]
    file = client.get(artifact["href"])
    assert hashlib.sha256(file.content).hexdigest() == artifact["sha256"]
    assert file.text.splitlines() == [
        "2026-11-20,300.00,A-1,paid",
        "2026-11-21,399.00,A-2,amount differs",
        "2026-11-22,201.00,,unknown",
    ]

    twice = client.submit(invoices=[STATEMENT["invoices"][0]] * 2)
    assert twice.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert twice.json()["field"] == "/payload/invoices/1/number"

    dead = client.finish(client.submit(closing="999.00").json()["id"])
    assert dead["state"] == "dead"
    assert (dead["error"]["rule"], dead["error"]["field"]) == ("BALANCE", "/payload/closing")
