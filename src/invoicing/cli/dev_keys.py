"""`dev-keys.json`: a working key for each role, kept over starts, healed when the database is another."""

import json
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.cli.dev_keys_file import keys_file, read_keys
from invoicing.customers import service as customers
from invoicing.customers.model import Role
from invoicing.kit.clock import now
from invoicing.kit.db import transaction
from invoicing.kit.embedded.files import write_text

CUSTOMER = ("acme", "Acme AG")
"""Slug and name of the customer that the key `customer` acts for."""

_LABEL = "this machine"


async def ensure_keys(engine: AsyncEngine, home: Path) -> list[str]:
    """Make the file hold a working key for each role; gives the roles whose key is new."""
    found = read_keys(home)
    async with transaction(engine) as session:
        customer = await customers.ensure_customer(session, *CUSTOMER)
    working = await _working(engine, found)
    missing = [role for role in Role if role not in working]
    if missing:
        async with transaction(engine) as session:
            for role in missing:
                owner = customer.id if role is Role.CUSTOMER else None
                working[role] = await customers.create_key(session, role, _LABEL, owner)
        write_text(keys_file(home), json.dumps({role: working[role] for role in Role}, indent=2))
    keys_file(home).chmod(0o600)
    return [str(role) for role in missing]


async def _working(engine: AsyncEngine, found: Mapping[str, str]) -> dict[Role, str]:
    """Keep the keys that this database knows, in the role under which they are filed."""
    keys = customers.Keys(engine)
    working: dict[Role, str] = {}
    for role in Role:
        key = found.get(role)
        principal = None if key is None else await keys.recognise(key, now())
        if key is not None and principal is not None and principal.role is role:
            working[role] = key
    return working
