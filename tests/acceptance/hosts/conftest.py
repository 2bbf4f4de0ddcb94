"""The hosts of these tests: made once, entered by each test as a customer."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from ..campaign.clients import Log
from .network import is_curable, what_is_missing
from .observing import Observer, observing
from .site import CUSTOMER, Site, running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Have the service run on hosts of its own; skipped where there can be none, which CI does not take for granted."""
    missing = what_is_missing()
    if missing is not None:
        if os.environ.get("CI") == "true" and is_curable(missing):
            pytest.fail(f"{missing}: install it")
        pytest.skip(missing)
    with running(tmp_path_factory.mktemp("hosts")) as site:
        yield site


@pytest.fixture(scope="module")
def log() -> Log:
    """Keep what customers sent and were answered, over all tests."""
    return Log()


@pytest.fixture
async def observer(site: Site, log: Log) -> AsyncIterator[Observer]:
    """Be on a customer's host."""
    with site.network.entered(CUSTOMER):
        async with observing(site, log, f"at-{len(log.requests)}") as observer:
            yield observer
