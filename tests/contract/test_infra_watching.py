"""Dashboard and alerts look at what the service counts."""

import json
import os
import re
from typing import Any

import pytest
from support.infra import INFRA, load, texts


@pytest.fixture(scope="module")
def exported() -> set[str]:
    """The names of what the prediction service counts, as Prometheus stores them."""
    from everfit.infra.serving.telemetry import Telemetry

    names = {"up"}
    for metric in Telemetry({}).registry.collect():
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(metric.type, [""])
        names |= {metric.name + ending for ending in endings}
    return names


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(everfit_\w+|up)\b(?=\s*(?:\{|\[|[=<>/*+-]|$|\)))", expression))


def test_the_dashboard_shows_what_the_service_counts(exported: set[str]) -> None:
    panels = json.loads((INFRA / "grafana" / "dashboards" / "everfit.json").read_text())["panels"]
    requests = [target["expr"] for panel in panels for target in panel.get("targets", []) if "expr" in target]
    assert len(requests) >= 8
    assert all(metrics_in(expression) for expression in requests)
    assert set().union(*map(metrics_in, requests)) <= exported
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == ["Service", "Loop", "Data"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_dashboard_asks_sources_that_are_provisioned(compose: dict[str, Any]) -> None:
    sources = load("grafana/provisioning/datasources/everfit.yaml")["datasources"]
    dashboard = (INFRA / "grafana" / "dashboards" / "everfit.json").read_text()
    assert set(re.findall(r'"uid": "(everfit-\w+)"', dashboard)) == {source["uid"] for source in sources}
    (provider,) = load("grafana/provisioning/dashboards/everfit.yaml")["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in compose["services"]["grafana"]["volumes"]
    named = {name for text in texts(sources) for name in re.findall(r"\$(\w+)", text)}
    assert named <= compose["services"]["grafana"]["environment"].keys()


def test_alerts_look_at_what_the_service_counts(compose: dict[str, Any], exported: set[str]) -> None:
    prometheus = load("prometheus/prometheus.yaml")
    rules = [rule for group in load("prometheus/alerts.yaml")["groups"] for rule in group["rules"]]
    assert all(metrics_in(rule["expr"]) for rule in rules)
    assert set().union(*(metrics_in(rule["expr"]) for rule in rules)) <= exported
    (job,) = prometheus["scrape_configs"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{compose['services']['prometheus']['secrets'][0]}"
    mounted = " ".join(compose["services"]["prometheus"]["volumes"])
    assert all(os.path.join("/etc/prometheus", name) in mounted for name in prometheus["rule_files"])  # noqa: PTH118
