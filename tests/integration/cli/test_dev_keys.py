"""`dev-keys.json` always holds keys that work, whatever became of the file or of the database."""

import json
from pathlib import Path

from invoicing.cli.dev_keys import CUSTOMER, ensure_keys
from invoicing.cli.dev_keys_file import keys_file, read_keys
from invoicing.customers import service as customers
from invoicing.kit.clock import now
from invoicing.kit.db import make_engine, transaction

ROLES = {"customer", "support", "ops", "admin"}


async def test_keys_are_made_once_and_kept(database_url: str, tmp_path: Path) -> None:
    engine = make_engine(database_url)
    assert set(await ensure_keys(engine, tmp_path)) == ROLES
    first = read_keys(tmp_path)
    assert await ensure_keys(engine, tmp_path) == []
    assert read_keys(tmp_path) == first
    principal = await customers.Keys(engine).recognise(first["customer"], now())
    assert principal is not None
    assert principal.customer == CUSTOMER[0]
    await engine.dispose()


async def test_a_file_from_another_database_is_healed(database_url: str, tmp_path: Path) -> None:
    engine = make_engine(database_url)
    keys_file(tmp_path).write_text(json.dumps({role: f"inv_{role}_of-another-database" for role in ROLES}))
    keys_file(tmp_path).chmod(0o644)
    assert set(await ensure_keys(engine, tmp_path)) == ROLES
    assert keys_file(tmp_path).stat().st_mode & 0o777 == 0o600
    keys = customers.Keys(engine)
    assert all([await keys.recognise(key, now()) for key in read_keys(tmp_path).values()])
    await engine.dispose()


async def test_only_the_key_that_was_revoked_is_replaced(database_url: str, tmp_path: Path) -> None:
    engine = make_engine(database_url)
    await ensure_keys(engine, tmp_path)
    before = read_keys(tmp_path)
    async with transaction(engine) as session:
        ops = next(one for one in await customers.all_keys(session) if one.role == "ops")
        assert await customers.revoke_key(session, ops.id, "a test")
    assert await ensure_keys(engine, tmp_path) == ["ops"]
    after = read_keys(tmp_path)
    assert {role for role in ROLES if before[role] != after[role]} == {"ops"}
    await engine.dispose()


async def test_a_damaged_file_is_written_anew(database_url: str, tmp_path: Path) -> None:
    engine = make_engine(database_url)
    keys_file(tmp_path).write_text('{"customer": ')
    assert set(await ensure_keys(engine, tmp_path)) == ROLES
    await engine.dispose()
