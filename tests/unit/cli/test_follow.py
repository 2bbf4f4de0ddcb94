"""Following a job on a terminal: what its customer called it is shown as it is, whatever signs are in it."""

import io

import pytest
from rich.console import Console

from invoicing.cli import follow


@pytest.mark.parametrize("name", ["march [draft]", "[/]"])
def test_a_reference_is_shown_as_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    terminal = Console(file=written, width=100, force_terminal=True, color_system=None)
    monkeypatch.setattr(follow, "OUT", terminal)
    with follow.Bars([(name, "1")]) as bars:
        bars.changed("1", {"state": "succeeded", "finished_at": "2026-11-22T12:00:00Z"})
    assert f"{name} succeeded" in written.getvalue()
