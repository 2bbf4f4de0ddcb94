"""The arrows between and inside the rooms hold, and the linter that says so would notice if one did not."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from importlinter import api

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
CONTRACTS: list[dict[str, Any]] = api.read_configuration(str(ROOT / ".importlinter"))["contracts_options"]
LINTER = Path(sys.executable).with_name("lint-imports")


@dataclass(frozen=True)
class Plant:
    """Lines added to files (relative to src), and what the linter must then say of the contract."""

    contract: str
    what: str
    files: dict[str, str]
    seen: tuple[str, ...]


def imports(contract: str, importer: str, *imported: str) -> Plant:
    lines = "".join(f"import {name}\n" for name in imported)
    seen = tuple(f"is not allowed to import {name}:" for name in imported)
    return Plant(contract, f"{importer} imports {', '.join(imported)}", {importer: lines}, seen)


FORBIDDEN = [
    imports("service-below-workers", "invoicing/settings.py", "workers"),
    imports("own-store", "invoicing/jobs/model.py", "invoicing.customers.store", "invoicing.customers.tables"),
    imports("own-store", "workers/__init__.py", "invoicing.jobs.tables"),
    imports("settings-at-the-edge", "invoicing/jobs/model.py", "invoicing.settings"),
    imports("models-touch-nothing", "invoicing/jobs/model.py", "arq", "fastapi", "pydantic", "redis", "sqlalchemy"),
    imports("models-take-time-as-an-argument", "invoicing/customers/model.py", "asyncio", "os", "time"),
    imports("runway", "invoicing/jobs/tables.py", "arq", "redis"),
    imports("http-at-the-edge", "invoicing/kit/db.py", "fastapi", "starlette"),
    imports("http-at-the-edge", "workers/__init__.py", "fastapi"),
    imports("no-http-below", "invoicing/kit/db.py", "fastapi"),
]


def cycle() -> Plant:
    there, back = "invoicing/settings.py", "invoicing/kit/clock.py"
    files = {there: "import invoicing.kit.clock\n", back: "import invoicing.settings\n"}
    return Plant("no-cycles", "settings and kit import each other", files, ())


def layered() -> Iterator[Plant]:
    """For each order: the lowest name that exists imports the highest, and a file comes that has no place."""
    for contract in CONTRACTS:
        if contract["type"] != "layers":
            continue
        (container,) = contract["containers"]
        folder = container.replace(".", "/")
        names = [name.strip(" ()") for layer in contract["layers"] for name in layer.replace("|", ":").split(":")]
        there = [name for name in names if module_file(f"{folder}/{name}")]
        if len(there) > 1:
            bottom, top = there[-1], there[0]
            yield Plant(
                contract["id"],
                f"{container}.{bottom} imports {container}.{top}",
                {module_file(f"{folder}/{bottom}"): f"import {container}.{top}\n"},
                (f"{container}.{bottom} is not allowed to import {container}.{top}:",),
            )
        yield Plant(contract["id"], f"{folder}/odds.py", {f"{folder}/odds.py": ""}, (f"- {container}.odds",))


def module_file(path: str) -> str:
    """Find the file of a module or package, relative to src; empty when there is none."""
    return next((found for found in (f"{path}.py", f"{path}/__init__.py") if (SRC / found).exists()), "")


PLANTS = [*FORBIDDEN, cycle(), *layered()]


def lint(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(LINTER), "--config", str(ROOT / ".importlinter"), "--no-cache", "--no-logo", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_arrow_holds() -> None:
    result = lint(SRC)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.contract}: {plant.what}")
def test_a_wrong_import_is_noticed(plant: Plant, tmp_path: Path) -> None:
    shutil.copytree(SRC, tmp_path / "src", ignore=shutil.ignore_patterns("fonts", "__pycache__", "static"))
    for path, lines in plant.files.items():
        with (tmp_path / "src" / path).open("a") as file:
            file.write("\n" + lines)
    name = next(contract["name"] for contract in CONTRACTS if contract["id"] == plant.contract)

    result = lint(tmp_path / "src", "--contract", plant.contract)

    said = " ".join(result.stdout.split())
    assert result.returncode == 1, result.stderr
    assert f"{name} BROKEN" in said
    for expected in plant.seen:
        assert expected in said


def test_every_contract_is_broken_by_a_plant() -> None:
    assert {contract["id"] for contract in CONTRACTS} == {plant.contract for plant in PLANTS}


def test_every_room_has_its_order() -> None:
    assembly = {"app", "cli"}  # one file per process or verb, in no order of height; no-cycles holds for them
    folders = {file.parent.name for file in SRC.glob("invoicing/*/__init__.py")}
    rooms = {f"invoicing.{folder}" for folder in folders - assembly}
    ordered = {contract["containers"][0] for contract in CONTRACTS if contract["type"] == "layers"}
    assert rooms | {"invoicing", "workers"} == ordered
    assert all(contract["exhaustive"] == "True" for contract in CONTRACTS if contract["type"] == "layers")
