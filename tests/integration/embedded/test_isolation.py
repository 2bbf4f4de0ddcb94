"""What tests are given: servers that no other test has touched."""

import asyncpg
import pytest
import redis


@pytest.mark.parametrize("turn", [1, 2])
async def test_every_test_has_a_migrated_database_without_rows_of_others(database_url: str, turn: int) -> None:
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT to_regclass('alembic_version')") is not None
    assert await connection.fetchval("SELECT to_regclass('left_behind')") is None
    await connection.execute("CREATE TABLE left_behind AS SELECT $1::int AS turn", turn)
    await connection.close()


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_has_an_empty_redis(redis_url: str, turn: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left behind", turn)


async def test_connections_that_a_test_forgot_do_not_keep_its_database(database_url: str) -> None:
    forgotten = await asyncpg.connect(database_url)
    assert not forgotten.is_closed()
    forgotten.terminate()
