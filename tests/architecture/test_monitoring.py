"""Rules and dashboard are valid, fire when they should, and are explained to whoever is woken by them."""

import re
from pathlib import Path

import pytest
import yaml

from .promtool import promtool
from .told import ALERTS, DASHBOARD, MONITORING, ROOT, RULES, queries, recorded


def test_prometheus_takes_the_rules_and_the_scrape_configuration() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "rules", "rules.yaml", folder=MONITORING)
    promtool("check", "config", "--syntax-only", "prometheus.yaml", folder=MONITORING)
    assert yaml.safe_load((MONITORING / "prometheus.yaml").read_text())["rule_files"] == ["rules.yaml"]


def test_alerts_fire_when_something_is_wrong_and_not_when_all_is_well() -> None:
    promtool("test", "rules", "rules_test.yaml", folder=MONITORING)


def test_prometheus_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries())]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", "rules.yaml", folder=tmp_path)


def test_a_rule_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    text = (MONITORING / "rules.yaml").read_text()
    (tmp_path / "rules_test.yaml").write_text((MONITORING / "rules_test.yaml").read_text())
    (tmp_path / "rules.yaml").write_text(text.replace("max(invoicing_workers) < 1", "max(invoicing_workers) < 0"))
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", "rules_test.yaml", folder=tmp_path)


def test_what_is_recorded_is_what_is_asked_for() -> None:
    assert recorded() == {rule["record"] for rule in RULES if "record" in rule}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_whoever_is_told_finds_out_what_it_means_and_what_to_do(alert: dict[str, object]) -> None:
    rows = re.findall(r"(?m)^\| `(Invoicing\w+)` \| (.+) \| (.+) \|$", (ROOT / "docs" / "operations.md").read_text())
    assert alert["alert"] in {name for name, means, do in rows if means.strip() and do.strip()}
    assert alert["labels"] in ({"severity": "page"}, {"severity": "ticket"}, {"severity": "none"})
    annotations = alert["annotations"]
    assert isinstance(annotations, dict)
    assert annotations.keys() == {"summary", "runbook"}


def test_every_panel_of_the_dashboard_says_what_it_shows_and_asks_the_chosen_source() -> None:
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in panels:
        assert panel["title"]
        assert panel["targets"]
        assert panel["datasource"]["uid"] == "${source}", panel["title"]
