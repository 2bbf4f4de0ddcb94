"""The command line explains itself and refuses wrong usage in clear words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from invoicing.cli.command import build, main
from invoicing.cli.faults import EXIT_CODES


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    children = getattr(command, "commands", {})
    if not children:
        yield path
    for name, child in children.items():
        yield from commands(child, (*path, name))


EVERY_COMMAND = list(commands(typer.main.get_command(build(()))))


@pytest.mark.parametrize("path", EVERY_COMMAND, ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(build(path), [*path, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    assert "Example:" in shown.output
    assert " ".join(("invoicing", *path[:1])) in shown.output.partition("Example:")[2]


def test_help_lists_the_exit_codes() -> None:
    shown = CliRunner().invoke(build(()), ["--help"], env={"COLUMNS": "200"})
    assert all(meaning.split()[0] in shown.output for meaning in EXIT_CODES.values())


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["jobs", "list", "--state", "flying"], 2, "The states are"),
        (["lanes", "pause", "normal-small", "--reason", "x"], 2, "--until TIME or --for DURATION"),
        (["lanes", "pause", "normal-small", "--reason", "x", "--for", "soon"], 2, "90s, 15m"),
        (["jobs", "list"], 3, "invoicing up"),
        (["jobs", "list", "--url", "http://127.0.0.1:9"], 4, "INVOICING_KEY"),
        (["jobs", "list", "--url", "http://127.0.0.1:9", "--key", "k"], 3, "cannot be reached"),
        (["jobs", "submit", "absent.json", "--url", "http://127.0.0.1:9", "--key", "k"], 1, "cannot be read"),
        (["keys", "list"], 3, "INVOICING_DATABASE_URL"),
        (["worker"], 2, "INVOICING_REDIS_URL"),
        (["fly"], 2, "No such command"),
        (["up", "--port", "99999"], 2, "--port"),
    ],
)
def test_wrong_usage_gives_its_exit_code_and_what_to_do(
    arguments: list[str],
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: object,
) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "URL", "KEY"):
        monkeypatch.delenv(f"INVOICING_{name}", raising=False)
    monkeypatch.setenv("INVOICING_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    told = capsys.readouterr().err
    assert ended.value.code == code, told
    assert says in told.replace("\n", " ")
    assert "Traceback" not in told


OPERATIONS = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()


def test_the_documentation_lists_every_exit_code_and_every_command() -> None:
    assert [row for row in EXIT_CODES.items() if f"| {row[0]} | {row[1]} |" not in OPERATIONS] == []
    assert [path for path in EVERY_COMMAND if f"`{' '.join(path)}`" not in OPERATIONS] == []
