"""The same from the command line: acts with their preview, and the policy."""

import asyncio
import json
from pathlib import Path
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


async def test_lines_are_called_by_their_number_in_the_file(
    service: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "jobs.ndjson"
    good = json.dumps({"kind": "drill", "payload": {}})
    file.write_text(f"{good}\n\nno JSON\n\n{good}\n")
    assert await run(service, service.acme, "jobs", "submit", str(file)) == 1
    told = capsys.readouterr()
    assert [line.split(":")[0].split(", ")[1] for line in told.out.splitlines()] == ["line 1", "line 5"]
    assert f"{file}, line 3: The body is not valid JSON" in told.err


async def test_no_incident_is_no_mistake_of_whoever_asks(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(service, service.ops, "incidents") == 0
    assert capsys.readouterr().out == "No incident is open.\n"
    assert await run(service, service.ops, "incidents", "list", "--severity", "S1") == 0
    assert capsys.readouterr().out == "There are no such incidents.\n"


async def test_a_time_that_is_none_is_refused_in_words_of_the_command_line(
    service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(service, service.acme, "jobs", "list", "--since", "yesterday") == 2
    told = capsys.readouterr().err
    assert "--since 'yesterday' is no time." in told
    assert "%2B" not in told
