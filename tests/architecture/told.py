"""What rules, dashboard and pages ask for, and what processes can tell, each by name."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())

# what Prometheus itself makes of a scrape
_OF_PROMETHEUS = {"up", "ALERTS"}


def queries() -> Iterator[str]:
    """Give every query of the dashboard."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def asked() -> set[str]:
    """Name every series that rules and dashboard ask for and that a process has to tell."""
    texts = [rule["expr"] for rule in RULES] + list(queries())
    named = {name for text in texts for name in re.findall(r"\b(?:invoicing|process)_\w+", text)}
    return named - _OF_PROMETHEUS


def recorded() -> set[str]:
    """Name every series that rules make and that others ask for."""
    texts = [rule["expr"] for rule in RULES] + list(queries())
    return {name for text in texts for name in re.findall(r"\binvoicing:[\w:]+", text)}


def labels_asked() -> Mapping[str, set[str]]:
    """Name the labels by which series are chosen, with the series."""
    found: dict[str, set[str]] = {}
    for text in [rule["expr"] for rule in RULES] + list(queries()):
        for name, matchers in re.findall(r"\b(invoicing_\w+)\{([^}]*)\}", text):
            found.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=|!=)", matchers))
    return found
