"""Each kind is warmed up once, and one that fails keeps no other from it."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from invoicing.jobs.kinds import Kinds
from workers.kinds import drill
from workers.warmth import Warmth

SETTINGS = {"rules_dir": "somewhere"}


@pytest.fixture
def warmed() -> list[tuple[str, Mapping[str, str]]]:
    return []


@pytest.fixture
def warmth(warmed: list[tuple[str, Mapping[str, str]]]) -> Warmth:
    def warm_up(name: str) -> Callable[[Mapping[str, str]], None]:
        def one(settings: Mapping[str, str]) -> None:
            warmed.append((name, settings))
            if name == "broken":
                raise RuntimeError("no fuel")

        return one

    kinds: Kinds = {name: replace(drill.KIND, name=name, warm_up=warm_up(name)) for name in ("a", "b", "broken")}
    return Warmth(kinds, SETTINGS)


def test_a_kind_is_warmed_up_when_it_is_needed_and_the_others_when_told(
    warmth: Warmth, warmed: list[tuple[str, Mapping[str, str]]]
) -> None:
    assert warmth.lacks("b")
    assert warmth.warm_up(["b"]) == {}
    assert not warmth.lacks("b")
    assert warmth.lacks("a")
    assert warmth.warm_up() == {"broken": "no fuel"}
    assert warmed == [("b", SETTINGS), ("a", SETTINGS), ("broken", SETTINGS)]


def test_what_failed_is_not_tried_again_and_what_there_is_not_is_not_lacking(warmth: Warmth) -> None:
    assert warmth.warm_up(["broken"]) == {"broken": "no fuel"}
    assert not warmth.lacks("broken")
    assert not warmth.lacks("unknown")
    assert warmth.warm_up(["broken", "unknown"]) == {}
