"""The manifests in deploy/ are valid, fit together, and speak of commands, settings and figures that there are."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from invoicing.app.metrics import families, families_of_channels
from invoicing.lanes.model import POLICY
from invoicing.lanes.model.signals import signals_of
from invoicing.settings import VARIABLES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MONITORING = DEPLOY / "monitoring"
SCHEMAS: dict[str, Any] = json.loads((Path(__file__).parent / "schema" / "kubernetes.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
FILES = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
MANIFESTS = [
    pytest.param(document, id=f"{file.name}: {document['kind']}")
    for file in FILES
    if file.name != "kustomization.yaml"
    for document in yaml.safe_load_all(file.read_text())
]
EVERY: list[dict[str, Any]] = [each.values[0] for each in MANIFESTS]  # type: ignore[misc]  # pytest types them as objects
DEPLOYED = {each["metadata"]["name"]: each for each in EVERY if each["kind"] == "Deployment"}
SCALERS = [each for each in EVERY if each["kind"] in {"ScaledObject", "HorizontalPodAutoscaler"}]

# what KEDA's scalers read (pkg/scalers/{prometheus,metrics_api}_scaler.go); its CRD lets anything pass here
TRIGGERS = {
    "prometheus": {"serverAddress", "query", "threshold", "activationThreshold", "ignoreNullValues", "authModes"},
    "metrics-api": {"url", "format", "valueLocation", "targetValue", "activationTargetValue", "authMode"},
}


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)


def series() -> set[str]:
    of_lanes = families(signals_of({}, {}, [], frozenset(), POLICY, lambda _host: POLICY))
    return {family.name for family in (*of_lanes, *families_of_channels([]))}


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_manifest_follows_the_official_schema(manifest: dict[str, Any]) -> None:
    jsonschema_rs.validate({**SCHEMAS["kinds"][manifest["kind"]], "$defs": SCHEMAS["$defs"]}, manifest)


def test_the_schemas_refuse_what_there_is_not() -> None:
    for kind in {manifest["kind"] for manifest in EVERY}:
        manifest = next(each for each in EVERY if each["kind"] == kind)
        schema = {**SCHEMAS["kinds"][kind], "$defs": SCHEMAS["$defs"]}
        wrong = {**manifest, "spec": {**manifest["spec"], "replicaz": 2}}
        assert not jsonschema_rs.is_valid(schema, wrong), kind


def test_everything_is_in_the_kustomization_or_named_there_as_a_choice() -> None:
    text = (DEPLOY / "kubernetes" / "kustomization.yaml").read_text()
    listed = set(yaml.safe_load(text)["resources"])
    assert listed == {file.name for file in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert all(file.name in text for file in (DEPLOY / "kubernetes" / "scaling").glob("*.yaml"))


def test_every_process_of_the_service_is_deployed_and_gets_as_long_to_end_as_elsewhere() -> None:
    roles = {container(each)["args"][0]: each for each in DEPLOYED.values()}
    assert roles.keys() == COMPOSE.keys() - {"postgres", "redis", "migrate"}
    for role, deployment in roles.items():
        seconds = int(COMPOSE[role].get("stop_grace_period", "30s").removesuffix("s"))
        assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == seconds, role


@pytest.mark.parametrize("name", DEPLOYED)
def test_a_process_is_found_by_its_labels_and_may_be_evicted_with_measure(name: str) -> None:
    labels = DEPLOYED[name]["spec"]["template"]["metadata"]["labels"]
    selectors = [each["spec"]["selector"] for each in EVERY if each["metadata"]["name"] == name and each["kind"] in {
        "Deployment", "PodDisruptionBudget"
    }]  # fmt: skip
    assert [each["matchLabels"] for each in selectors] == [labels, labels]


@pytest.mark.parametrize("name", DEPLOYED)
def test_a_process_is_hardened_and_bounded_as_in_compose(name: str) -> None:
    pod, only = DEPLOYED[name]["spec"]["template"]["spec"], container(DEPLOYED[name])
    assert pod["securityContext"]["runAsNonRoot"]
    assert (
        f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
        in (ROOT / "Dockerfile").read_text()
    )
    assert not pod["automountServiceAccountToken"]
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    assert only["resources"]["limits"].keys() == {"memory"}
    assert only["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]


def test_two_dispatchers_run_on_two_hosts_so_that_one_may_die() -> None:
    spec = DEPLOYED["invoicing-dispatcher"]["spec"]
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert spec["replicas"] == 2
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "DoNotSchedule")


def test_settings_are_known_by_name() -> None:
    text = "".join(file.read_text() for file in [*FILES, *DEPLOY.rglob("*.md"), *MONITORING.iterdir()])
    named = set(re.findall(r"INVOICING_\w+", text))
    assert named >= {"INVOICING_SLOTS", "INVOICING_METRICS_TOKEN", "INVOICING_DATABASE_URL", "INVOICING_REDIS_URL"}
    assert named <= VARIABLES.keys()


def test_the_number_of_workers_is_the_scalers_alone() -> None:
    assert "replicas" not in DEPLOYED["invoicing-worker"]["spec"]
    assert {each["spec"]["scaleTargetRef"]["name"] for each in SCALERS} == {"invoicing-worker"}


@pytest.mark.parametrize("scaler", SCALERS, ids=lambda each: each["kind"])
def test_a_scaler_divides_the_slots_wanted_by_the_slots_of_a_worker(scaler: dict[str, Any]) -> None:
    (slots,) = (
        each["value"] for each in container(DEPLOYED["invoicing-worker"])["env"] if each["name"] == "INVOICING_SLOTS"
    )
    if scaler["kind"] == "HorizontalPodAutoscaler":
        (source,) = (each["external"] for each in scaler["spec"]["metrics"])
        figure, divisor = source["metric"]["name"], source["target"]["averageValue"]
    else:
        (trigger,) = scaler["spec"]["triggers"]
        told = trigger["metadata"]
        assert told.keys() <= TRIGGERS[trigger["type"]]
        figure, divisor = told.get("query") or told["valueLocation"], told.get("threshold") or told["targetValue"]
    assert divisor == slots
    assert re.fullmatch(r"(max\()?invoicing_slots_wanted\)?", figure)
    assert "invoicing_slots_wanted" in series()


def test_monitoring_asks_every_process_where_it_tells_of_itself() -> None:
    prometheus = yaml.safe_load((MONITORING / "prometheus.yaml").read_text())
    (job,) = prometheus["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    assert job["authorization"]["type"] == "Bearer"
    asked = {(name, each["port"]) for each in job["dns_sd_configs"] for name in each["names"]}
    headless = [each for each in EVERY if each["kind"] == "Service" and each["spec"].get("clusterIP") == "None"]
    assert asked == {(f"{each['metadata']['name']}.invoicing", each["spec"]["ports"][0]["port"]) for each in headless}
    for service in headless:
        deployment = next(
            each for each in DEPLOYED.values() if each["metadata"]["labels"] == service["spec"]["selector"]
        )
        (port,) = container(deployment)["ports"]
        assert (port["name"], port["containerPort"]) == (
            service["spec"]["ports"][0]["targetPort"], service["spec"]["ports"][0]["port"]
        )  # fmt: skip
        own = {each["name"]: each["value"] for each in container(deployment).get("env", ())}
        assert own.get("INVOICING_METRICS_PORT", "8000") == str(port["containerPort"])
    assert {each["spec"]["selector"]["app.kubernetes.io/name"] for each in headless} == DEPLOYED.keys()


def test_scaling_asks_for_series_that_there_are() -> None:
    adapter = yaml.safe_load((MONITORING / "prometheus-adapter.yaml").read_text())
    assert {rule["seriesQuery"] for rule in adapter["externalRules"]} <= series()
