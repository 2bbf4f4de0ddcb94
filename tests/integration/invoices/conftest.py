"""One judge and one set of schemas for all tests here: making them takes seconds."""

import pytest

from invoicing.invoices.rules import Judge
from invoicing.invoices.schemas import Schemas


@pytest.fixture(scope="session")
def judge() -> Judge:
    return Judge()


@pytest.fixture(scope="session")
def schemas() -> Schemas:
    return Schemas()
