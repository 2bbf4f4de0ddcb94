"""What is installed is what was locked: complete, within the bounds of pyproject.toml, by hash, from any registry."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]
WANTED = {
    "run": PROJECT["project"]["dependencies"],
    "image": PROJECT["project"]["dependencies"] + [*chain(*PROJECT["project"]["optional-dependencies"].values())],
    "dev": PROJECT["project"]["dependencies"] + GROUPS["dev"],
    "bench": PROJECT["project"]["dependencies"] + GROUPS["dev"] + GROUPS["bench"],
    "build": GROUPS["build"],
}
PIN = re.compile(
    r"^(?P<name>[\w.-]+)(\[.*\])?==(?P<version>\S+)( ; [^\\]+)?(?P<hashes>( \\\n    --hash=sha256:[0-9a-f]{64})+)$",
    re.MULTILINE,
)


def text_of(lock: str) -> str:
    return (ROOT / "requirements" / f"{lock}.lock").read_text()


def pins(lock: str) -> dict[str, Version]:
    return {canonicalize_name(pin["name"]): Version(pin["version"]) for pin in PIN.finditer(text_of(lock))}


@pytest.mark.parametrize("lock", WANTED)
def test_every_dependency_is_pinned_within_its_bounds(lock: str) -> None:
    pinned = pins(lock)
    for requirement in map(Requirement, WANTED[lock]):
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{requirement} is not in {lock}.lock: make lock"
        assert requirement.specifier.contains(pinned[name], prereleases=True), f"{requirement}, locked {pinned[name]}"


@pytest.mark.parametrize("lock", WANTED)
def test_a_lock_names_no_registry_and_takes_nothing_unchecked(lock: str) -> None:
    text = text_of(lock)
    assert "://" not in text
    assert "--index" not in text
    requirements = [line for line in text.splitlines() if line and not line.lstrip().startswith(("#", "--hash"))]
    assert len(requirements) == len(PIN.findall(text)), "a requirement without a version or a hash"


@pytest.mark.parametrize(
    ("smaller", "larger"), [("run", "image"), ("image", "dev"), ("dev", "bench"), ("build", "bench")]
)
def test_what_is_tested_is_what_runs(smaller: str, larger: str) -> None:
    inner, outer = pins(smaller), pins(larger)
    shared = inner.keys() & outer.keys()
    assert {name: inner[name] for name in shared} == {name: outer[name] for name in shared}
    assert smaller == "build" or shared == inner.keys()


def test_every_lock_has_its_test() -> None:
    assert {path.stem for path in (ROOT / "requirements").glob("*.lock")} == WANTED.keys()
