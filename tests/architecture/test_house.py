"""The house is kept: what is shipped is complete, files stay small, records are numbered, words mean one thing."""

import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = (ROOT / "pyproject.toml").read_text()
SKIPPED = {".git", *(name.rstrip("/") for name in (ROOT / ".gitignore").read_text().split())}
LONGEST_FILE = 350


def tree(folder: Path = ROOT) -> Iterator[Path]:
    """Walk the files that belong to the project."""
    for path in sorted(folder.iterdir()):
        if path.name in SKIPPED or path.suffix in {".egg-info", ".log"}:
            continue
        if path.is_dir():
            yield from tree(path)
        else:
            yield path


def named(paths: Iterator[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


SOURCES = [name for name in named(tree()) if name.endswith(".py")]
PAGES = [name for name in named(tree()) if name.endswith(".md")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.glob("*.whl")
    return {name for name in zipfile.ZipFile(file).namelist() if ".dist-info/" not in name}


def test_the_wheel_is_the_source_and_the_migrations_and_nothing_else(wheel: set[str]) -> None:
    source = {name.removeprefix("src/") for name in named(tree(ROOT / "src"))}
    schema = {f"invoicing/_schema/{name}" for name in ["alembic.ini", *named(tree(ROOT / "migrations"))]}
    assert wheel == source | schema


def test_a_file_is_short_enough_to_be_read_at_once() -> None:
    edited = [source for source in SOURCES if not source.startswith("migrations/")]  # those are written once
    lengths = {source: len((ROOT / source).read_text().splitlines()) for source in edited}
    assert {source: length for source, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_file_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
    assert [name for name in SOURCES if Path(name).stem in drawers] == []


def test_every_ignored_lint_rule_has_its_reason() -> None:
    listed = PYPROJECT[PYPROJECT.index("[tool.ruff.lint]") : PYPROJECT.index("[tool.ruff.lint.pydocstyle]")]
    rules = [line for line in listed.splitlines() if re.match(r'    "[A-Z]+\d*",', line)]
    assert rules
    assert [line for line in rules if not re.search(r"#\s*\S+", line)] == []
    lint = tomllib.loads(PYPROJECT)["tool"]["ruff"]["lint"]
    assert len(rules) == len(lint["ignore"]) + sum(map(len, lint["per-file-ignores"].values()))


def test_an_exception_from_a_rule_says_why() -> None:
    bare = re.compile(r"# (noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])$")
    blanket = re.compile(r"# (noqa|type: ignore)(?!: [A-Z]|\[)")
    lines = [(source, line.strip()) for source in SOURCES for line in (ROOT / source).read_text().splitlines()]
    assert [found for found in lines if bare.search(found[1]) or blanket.search(found[1])] == []


def test_the_tree_names_no_registry_and_no_folder_of_one_machine() -> None:
    registries = ["py" + "pi.org", "pythonhosted" + ".org", "pack" + "agecloud.io"]
    machine = re.compile(r"(?<![\w./-])/(work|root|Users|home/\w+)/|" + "|".join(map(re.escape, registries)))
    found = []
    for path in tree():
        try:
            text = path.read_text()
        except UnicodeDecodeError:  # a font, a picture
            continue
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in machine.finditer(text)]
    assert found == []


def test_a_link_in_the_documentation_leads_somewhere() -> None:
    broken = []
    for page in PAGES:
        text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
        links = {link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)} - {""}
        inside = [link for link in links if not link.startswith(("http://", "https://", "mailto:"))]
        broken += [(page, link) for link in inside if not ((ROOT / page).parent / link).exists()]
    assert broken == []


def test_decisions_are_numbered_without_gaps_and_name_what_was_not_chosen() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    assert [path.name for path in records if "lternative" not in path.read_text()] == []


def test_the_changelog_knows_this_version_or_says_it_is_coming() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    version = tomllib.loads(PYPROJECT)["project"]["version"]
    assert re.search(rf"(?m)^## \[({re.escape(version)}|Unreleased)\]", text)


def test_every_dependency_has_its_reason() -> None:
    record = next((ROOT / "docs" / "decisions").glob("*-dependencies.md")).read_text()
    rows = set(re.findall(r"(?m)^\| `([\w.-]+)`", record))
    requirements = tomllib.loads(PYPROJECT)["project"]["dependencies"]
    assert rows == {re.split(r"[\[<>=]", requirement)[0] for requirement in requirements}


def code_names() -> list[tuple[str, str]]:
    rows = re.findall(r"(?m)^\| \*\*(.+?)\*\* \|.*\| (.+?) \|$", (ROOT / "docs" / "glossary.md").read_text())
    return [(word, name) for word, names in rows for name in re.findall(r"`([\w.]+:[\w.]+)`", names)]


def test_a_word_of_the_glossary_means_one_thing() -> None:
    words = re.findall(r"(?m)^\| \*\*(.+?)\*\* \|", (ROOT / "docs" / "glossary.md").read_text())
    assert words
    assert sorted({word for word in words if words.count(word) > 1}) == []


@pytest.mark.parametrize(("word", "name"), code_names())
def test_a_word_of_the_glossary_is_a_name_in_the_code(word: str, name: str) -> None:
    module, _, attributes = name.partition(":")
    found: object = importlib.import_module(module)
    for attribute in attributes.split("."):
        fields = getattr(found, "__dataclass_fields__", {})
        found = fields[attribute] if attribute in fields else getattr(found, attribute)
    assert found is not None, word
