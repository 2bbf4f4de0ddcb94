"""A request that is right, to be spoilt by tests."""

import json
from pathlib import Path
from typing import Any

import pytest

_SMALL = Path(__file__).parents[3] / "examples" / "small.json"


@pytest.fixture
def payload() -> dict[str, Any]:
    return dict(json.loads(_SMALL.read_text("utf-8"))["payload"])
