"""A web process for the command line to speak to."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from invoicing.customers import service as customers
from invoicing.customers.model import Role
from invoicing.kit.db import make_engine, transaction

_CODE = "from invoicing.app.web import serve; from invoicing.settings import read; serve(read())"


def key_of(database_url: str, role: Role) -> str:
    """Make a key; of a customer for acme."""

    async def make() -> str:
        engine = make_engine(database_url)
        async with transaction(engine) as session:
            acme = await customers.ensure_customer(session, "acme", "Acme AG")
            key = await customers.create_key(session, role, "shop", acme.id if role is Role.CUSTOMER else None)
        await engine.dispose()
        return key

    return asyncio.run(make())


@contextmanager
def web(database_url: str) -> Iterator[str]:
    """Run it while the block runs; gives its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    settings = {"INVOICING_DATABASE_URL": database_url, "INVOICING_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-c", _CODE], env=os.environ | settings)
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
