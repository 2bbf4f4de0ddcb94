"""The same from the command line: acts with their preview, and the policy."""

import asyncio
import json
from typing import Any

import pytest

from invoicing.cli.command import main


async def run(service: Any, who: Any, *arguments: str) -> int:
    """Run a command in a thread, as this one serves; gives its exit code."""

    def command() -> int:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--url", service.url, "--key", who.key])
        return int(ended.value.code or 0)

    return await asyncio.to_thread(command)


async def test_an_act_says_from_where_to_where(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [await service.acme.job() for _ in range(3)]
    wish = ("jobs", "expedite", jobs[-1]["id"], "--reason", "due at noon")
    assert await run(service, service.support, *wish, "--dry-run") == 0
    preview = capsys.readouterr().out
    assert ("would change" in preview, "2 ahead" in preview, "expedited, 0 ahead" in preview) == (True, True, True)
    assert await run(service, service.support, *wish, "--json") == 0
    assert json.loads(capsys.readouterr().out)["changed"] is True
    assert await run(service, service.support, *wish) == 0
    assert "nothing changes" in capsys.readouterr().out
    assert await run(service, service.support, "jobs", "move", jobs[0]["id"], "--size", "huge", "--reason", "x") == 0
    assert "to   queued in normal-huge" in capsys.readouterr().out
    assert await run(service, service.support, "jobs", "retry", jobs[0]["id"], "--reason", "x") == 1
    assert ":expedite puts it first." in capsys.readouterr().err
    assert await run(service, service.acme, *wish) == 4
    assert await run(service, service.support, "jobs", "move", jobs[0]["id"], "--reason", "x") == 2


async def test_the_policy_is_shown_and_set(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    setting = ("scheduling", "set", "spare=2", "cutoffs.small_s=0.5", "--reason", "month's end")
    assert await run(service, service.ops, *setting) == 0
    shown = capsys.readouterr().out
    assert "the fleet: spare=2 cutoffs.small_s=0.5 set by ops:ops" in shown
    assert await run(service, service.ops, "scheduling", "set", "spare=default", "--reason", "over", "--json") == 0
    assert json.loads(capsys.readouterr().out)["overrides"][0]["settings"] == {"cutoffs": {"small_s": 0.5}}
    assert await run(service, service.ops, "scheduling", "show") == 0
    assert await run(service, service.ops, "scheduling", "set", "sparse=1", "--reason", "x") == 1
    assert "There is no setting 'sparse'." in capsys.readouterr().err
    assert await run(service, service.ops, "scheduling", "set", "spare", "--reason", "x") == 2
    assert await run(service, service.support, "scheduling", "show") == 4


async def test_lanes_say_how_much_work_waits(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    await service.acme.job()
    assert await run(service, service.ops, "lanes", "list") == 0
    assert "work" in capsys.readouterr().out


async def test_a_job_is_shown_in_the_language_asked_for(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    job = await service.acme.job()
    assert await run(service, service.acme, "jobs", "show", job["id"], "--language", "de-AT") == 0
    assert "Für diese Art von Warteschlange läuft zurzeit keine Verarbeitung." in capsys.readouterr().out
    assert await run(service, service.acme, "jobs", "show", job["id"], "--language", "Deutsch, bitte") == 2
    assert "names no language" in capsys.readouterr().err
