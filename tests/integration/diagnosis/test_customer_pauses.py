"""A customer that is paused: its jobs have no place until it goes on, and are in nobody's way."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import insert

from invoicing.customers import service as customers
from invoicing.customers.tables import customers as table
from invoicing.diagnosis.service import explain
from invoicing.kit.db import Session, make_engine
from invoicing.kit.ids import new_id

from .test_explain import KINDS, add, add_worker, ago, read


@pytest.fixture
async def session(database_url: str) -> AsyncIterator[Session]:
    engine = make_engine(database_url)
    async with engine.begin() as session:
        yield session
    await engine.dispose()


async def test_a_paused_customers_jobs_have_no_place_and_are_in_nobodys_way(session: Session) -> None:
    acme, other = new_id(), new_id()
    await session.execute(insert(table).values([{"id": acme, "slug": "acme", "name": "Acme"},
                                                {"id": other, "slug": "other", "name": "Other"}]))  # fmt: skip
    await add_worker(session)
    mine, theirs = await add(session, acme, 30, order_at=ago(60)), await add(session, other, 3)
    until = (await read(session, mine[:1]))[0].submitted_at + timedelta(hours=1)
    await customers.pause(session, acme, until, "It runs away.", "ops:Erika Mustermann")

    told = await explain(session, await read(session, [*mine, *theirs]), KINDS, fresh=True)

    assert [told[one].ahead for one in theirs] == [0, 1, 2]
    assert {told[one].ahead for one in mine} == {None}
    causes = {one.code: one for one in (told[each].cause for each in (*mine, *theirs)) if one is not None}
    assert set(causes) == {"paused", "starting"}
    assert "Mustermann" not in repr(causes["paused"])
    assert {told[one].not_before for one in mine} == {until}
